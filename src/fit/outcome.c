/* What a search leaves: a table, the recommended preset with its model, and a look at the test images. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "fit/fit_internal.h"

enum { PRESET_BYTES = 8192 };

static void write_real(FILE *stream, double value)
{
    if (isfinite(value))
        fprintf(stream, ",%.6g", value);
    else
        fputc(',', stream);
}

static int write_table(const struct agn_fit_config *config, const struct agn_fit_report *r)
{
    struct agn_file_out out;
    char path[1024];
    int status = agn__fit_path(config->out, "fit", "csv", path);
    if (status >= 0)
        status = agn_file_out_open(&out, path);
    if (status < 0)
        return status;
    FILE *stream = out.stream;
    fprintf(stream, "name,system,rung,asked,front,recommended,misses,accuracy,local_accuracy,sent_share,"
                    "packet_bytes,packets,instructions,latency_ms_low,latency_ms,latency_ms_high,"
                    "energy_mj_low,energy_mj,energy_mj_high,ram_bytes,flash_bytes\r\n");
    for (int i = 0; i < r->design_count; i++) {
        const struct agn_fit_design *d = &r->designs[i];
        const struct agn_fit_candidate *c = &r->candidates[d->candidate];
        const struct agn_interval *ms = d->point.sent_share > 0.0 ? &d->cost.sent_ms : &d->cost.unsent_ms;
        const struct agn_interval *mj = &d->cost.mean_board_mj;
        agn_csv_field(stream, c->name);
        fprintf(stream, ",%s,%d,%g,%d,%d,", c->preset.model.system, d->rung + 1, d->point.asked, d->front,
                i == r->recommended);
        for (int l = 0, any = 0; l < AGN_FIT_LIMITS; l++)
            if (d->missed & 1U << l)
                fprintf(stream, "%s%s", any++ ? " " : "", agn_fit_limit_name((enum agn_fit_limit)l));
        const double values[] = {
            d->point.accuracy, d->local_accuracy, d->point.sent_share, d->packet_bytes, d->packets,
            d->instructions,   ms->low,           d->latency_ms,       ms->high,        mj->low,
            d->energy_mj,      mj->high,          d->ram_bytes,        d->flash_bytes};
        for (size_t v = 0; v < AGN_COUNT_OF(values); v++)
            write_real(stream, values[v]);
        fprintf(stream, "\r\n");
    }
    return agn_file_out_commit(&out);
}

/* The trained model of a design, with the exits' threshold that it was chosen with. */
static int load_model(const struct agn_fit_config *config, const struct agn_fit_report *r,
                      struct agn_model **model)
{
    char path[1024];
    const struct agn_fit_design *d = &r->designs[r->recommended];
    int status = agn__fit_path(config->out, r->candidates[d->candidate].name, "safetensors", path);
    if (status >= 0)
        status = agn_model_load(path, model);
    if (status >= 0 && (*model)->system->exits)
        (*model)->preset.model.exit_threshold = d->point.asked > 0.0 ? d->point.asked : 1.0;
    return status;
}

static int write_recommended(const struct agn_fit_config *config, const struct agn_fit_report *r)
{
    struct agn_model *model = NULL;
    struct agn_file_out out;
    char path[1024];
    char *text = agn_alloc(PRESET_BYTES, 1);
    int status = text == NULL ? AGN_ERR_MEMORY : load_model(config, r, &model);
    if (status >= 0)
        status = agn_preset_format(&model->preset, text, PRESET_BYTES);
    if (status >= 0)
        status = agn__fit_path(config->out, "recommended", "ini", path);
    if (status >= 0)
        status = agn_file_out_open(&out, path);
    if (status >= 0) {
        const struct agn_fit_design *d = &r->designs[r->recommended];
        fprintf(out.stream,
                "; %s, found by agilenn fit for board %s and radio %s; epochs as it was trained.\n",
                r->candidates[d->candidate].name, config->board.name, config->radio.name);
        if (d->point.asked > 0.0 && !model->system->exits)
            fprintf(out.stream, "; To be exported with --sent %g.\n", d->point.asked);
        fprintf(out.stream, "%s", text);
        status = agn_file_out_commit(&out);
    }
    if (status >= 0)
        status = agn__fit_path(config->out, "recommended", "safetensors", path);
    if (status >= 0)
        status = agn_model_save(model, path);
    agn_model_free(model);
    agn_free(text);
    return status < 0 ? status : AGN_OK;
}

int agn_fit_write(const struct agn_fit_config *config, const struct agn_fit_report *report)
{
    int status = write_table(config, report);
    return status >= 0 && report->recommended >= 0 ? write_recommended(config, report) : status;
}

int agn_fit_test(const struct agn_fit_config *config, const struct agn_fit_report *report,
                 const struct agn_dataset *test, struct agn_fit_point *point, double *local_accuracy)
{
    struct agn_model *model = NULL;
    if (report->recommended < 0)
        return agn_fail(AGN_ERR_STATE, "nothing is recommended that could be tested");
    struct agn_fit_point made = report->designs[report->recommended].point;
    int status = load_model(config, report, &model);
    if (status >= 0)
        status = agn__fit_apply(model, config->validation, test, &made, local_accuracy);
    if (status >= 0)
        *point = made;
    agn_model_free(model);
    return status < 0 ? status : AGN_OK;
}
