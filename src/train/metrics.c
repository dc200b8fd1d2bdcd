/* The table of training's figures, and what is written of it; see metrics.h. */
#include "train/metrics.h"

#include <math.h>

#include "train/event_file.h"

enum { REAL = AGN_FIGURE_REAL, SHARE = AGN_FIGURE_SHARE };

/* Where a figure stands: in which line, and what else is to be said of it. */
enum {
    STEPS = AGN__METRICS_STEPS,
    VALIDATION = AGN__METRICS_VALIDATION,
    JOINT_ONLY = 4,
    JOINT = STEPS | JOINT_ONLY,
    NO_EVENT = 8, /* TensorBoard has it by itself */
    OPTIONAL = 16 /* left out where it is not known; else it is null then */
};

struct row {
    const char *key;
    unsigned kind;
    double value;
    const char *json; /* its format in metrics.jsonl */
    unsigned where;
    const char *shown; /* its name in the progress line; NULL: not there */
    const char *unit, *meaning;
};

enum { MOST_ROWS = 24 };
struct table {
    struct row rows[MOST_ROWS]; /* a key that is NULL ends them */
};

static double share(double part, double whole)
{
    return whole > 0.0 ? part / whole : (double)NAN;
}

/* A figure of training is a row here. */
static struct table table_of(const struct agn__moment *m)
{
    const struct agn__trainer *t = m->trainer;
    const struct agn__tally *s = m->tally;
    double stall_s = agn_loader_stall_s(t->loader), bytes = s->bits > 0.0 ? s->bits / 8.0 : (double)NAN;
    double waits = share(stall_s - t->phase_start_stall_s, agn_now_s() - t->phase_start_s);
    waits = waits >= 0.01 ? waits : (double)NAN; /* less is no trouble */
    return (struct table){{
        {"rate", REAL, m->rate, "%.6g", STEPS, NULL, "", "learning rate"},
        {"loss", REAL, share(s->loss, (double)s->steps), "%.6g", STEPS, "loss", "", "sum of its parts"},
        {"accuracy", SHARE, share(s->correct, s->images), "%.5f", STEPS, "acc", "", "training images"},
        {"validation_accuracy", SHARE, m->validation, "%.5f", VALIDATION, "val", "", "validation images"},
        {"skewness", REAL, share(s->skewness, s->valid), "%.5g", JOINT, "skew", "",
         "of the first k channels"},
        {"skewness_loss", REAL, share(s->skewness_loss, s->valid), "%.5g", JOINT, NULL, "", "short of rho"},
        {"disorder_loss", REAL, share(s->disorder_loss, s->valid), "%.5g", JOINT, NULL, "",
         "excess of others"},
        {"disorder_rate", SHARE, share(s->disordered, s->valid), "%.5g", JOINT, NULL, "", "images with any"},
        {"reference_valid", SHARE, share(s->valid, s->measured), "%.5g", JOINT, "ref", "",
         "it gets them right"},
        {"alpha", REAL, agn_model_alpha(t->model), "%.5g", JOINT, NULL, "", "weight of the Local NN"},
        {"bytes", REAL, share(bytes, s->images), "%.5g", JOINT | OPTIONAL, NULL, "bytes",
         "an image, estimated"},
        {"stall_seconds", REAL, stall_s, "%.3f", STEPS, NULL, "s", "waiting for data"},
        {"seconds", REAL, t->state.seconds, "%.2f", STEPS | VALIDATION | NO_EVENT, NULL, "s", "of training"},
        {"data_wait", SHARE, waits, NULL, 0, "waits for data", "", "of the phase's time"},
    }};
}

static bool of_phase(const struct row *row, const struct agn__moment *m)
{
    return !(row->where & JOINT_ONLY) || m->plan->phase == AGN_PHASE_JOINT;
}

void agn__metrics_show(const struct agn__moment *m, struct agn_figure figures[AGN_PROGRESS_FIGURES])
{
    const struct table table = table_of(m);
    int count = 0;
    for (const struct row *row = table.rows; row->key != NULL && count < AGN_PROGRESS_FIGURES; row++)
        if (row->shown != NULL && of_phase(row, m))
            figures[count++] = (struct agn_figure){.key = row->shown,
                                                   .unit = row->unit,
                                                   .meaning = row->meaning,
                                                   .kind = row->kind,
                                                   .value = row->value};
}

static void write_json(FILE *file, const struct agn__moment *m, const struct table *table, unsigned line)
{
    const struct agn_train_state *state = &m->trainer->state;
    fprintf(file, "{\"phase\": \"%s\", \"step\": %lld, \"steps\": %lld, \"images\": %lld", m->plan->name,
            (long long)state->step, (long long)m->steps, (long long)state->images);
    for (const struct row *row = table->rows; row->key != NULL; row++) {
        if (!(row->where & line) || !of_phase(row, m) || (row->where & OPTIONAL && !isfinite(row->value)))
            continue;
        fprintf(file, ", \"%s\": ", row->key);
        if (isfinite(row->value))
            fprintf(file, row->json, row->value);
        else
            fputs("null", file);
    }
    fprintf(file, "}\n");
    fflush(file);
}

/* Steps of both phases in one row: those of the second go on where the first one ends. */
static void write_events(const struct agn__moment *m, const struct table *table, unsigned line)
{
    const struct agn__trainer *t = m->trainer;
    for (const struct row *row = table->rows; row->key != NULL; row++) {
        char tag[64];
        if (!(row->where & line) || row->where & NO_EVENT || !of_phase(row, m) || !isfinite(row->value))
            continue;
        snprintf(tag, sizeof(tag), "%s/%s", m->plan->name, row->key);
        agn__event_file_scalar(t->events, tag, t->state.images / t->config->preset.train.batch, row->value);
    }
    agn__event_file_flush(t->events);
}

void agn__metrics_write(const struct agn__moment *m, enum agn__metrics_line line)
{
    const struct table table = table_of(m);
    if (m->trainer->metrics != NULL)
        write_json(m->trainer->metrics, m, &table, line);
    if (m->trainer->events != NULL)
        write_events(m, &table, line);
}
