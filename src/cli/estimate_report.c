/* What a frame costs, as a table of one system, CSV and JSON. All of it is modelled, and says so. */
#include <math.h>
#include <string.h>

#include "cli/estimate.h"

/* ---- one system --------------------------------------------------------------------------------------- */

static void print_row(const char *name, struct agn_interval ms, struct agn_interval mj)
{
    printf("%-14s %9.2f %9.2f %9.2f  %9.2f %9.2f %9.2f\n", name, ms.low, ms.typical, ms.high, mj.low,
           mj.typical, mj.high);
}

static void print_stages(const struct agn__estimate *e)
{
    const struct agn_cost *c = &e->cost;
    printf("\nmodelled       ms    low   typical      high  mJ    low   typical      high\n");
    for (int i = 0; i < AGN_COST_STAGES; i++)
        print_row(agn_cost_stage_name((enum agn_cost_stage)i), c->stage_ms[i], c->stage_mj[i]);
    print_row("frame sent", c->sent_ms, c->sent_mj);
    print_row("frame not sent", c->unsent_ms, c->unsent_mj);
    print_row("mean", c->mean_ms, c->mean_mj);
    printf("%-14s %9s %9s %9s  %9.2f %9.2f %9.2f\n", "whole board", "", "", "", c->mean_board_mj.low,
           c->mean_board_mj.typical, c->mean_board_mj.high);
}

/* What that share of the frames costs at most, typical: a frame is either sent or not. */
struct percentile {
    double share, ms, mj;
};
enum { PERCENTILES = 3 };

static void find_percentiles(const struct agn__estimate *e, struct percentile *found)
{
    static const double shares[PERCENTILES] = {.5, .9, .99};
    for (int i = 0; i < PERCENTILES; i++) {
        bool sent = shares[i] > 1.0 - e->work.sent_share;
        found[i] = (struct percentile){shares[i], sent ? e->cost.sent_ms.typical : e->cost.unsent_ms.typical,
                                       sent ? e->cost.sent_mj.typical : e->cost.unsent_mj.typical};
    }
}

static void print_percentiles(const struct agn__estimate *e)
{
    struct percentile p[PERCENTILES];
    find_percentiles(e, p);
    printf("\nlatency of frames, typical: 50 %% within %.2f ms, 90 %% %.2f ms, 99 %% %.2f ms\n", p[0].ms,
           p[1].ms, p[2].ms);
    printf("energy of frames, typical: 50 %% within %.2f mJ, 90 %% %.2f mJ, 99 %% %.2f mJ\n", p[0].mj,
           p[1].mj, p[2].mj);
}

static void print_rest(const struct agn__estimate_options *o, const struct agn__estimate *e)
{
    const struct agn_cost *c = &e->cost;
    print_percentiles(e);
    printf("frames a second: %.3g (%.3g to %.3g)\n", c->frames_per_second.typical, c->frames_per_second.low,
           c->frames_per_second.high);
    if (e->radio.packets_per_second > 0.0 && e->radio.packets_per_second < 1.0 && e->work.sent_share > 0.0)
        printf("radio %s allows %.3g packets a second: it decides latency and frame rate\n", e->radio.name,
               e->radio.packets_per_second);
    if (o->loss > 0.0 && e->work.sent_share > 0.0)
        printf("with %.3g %% of the datagrams lost and a deadline of %.0f ms: %.1f %% of the frames sent are "
               "answered, mean "
               "%.2f ms (%.2f to %.2f), %.2f mJ\n",
               100.0 * o->loss, o->deadline_ms, 100.0 * e->with_loss.answered_share,
               e->with_loss.mean_ms.typical, e->with_loss.mean_ms.low, e->with_loss.mean_ms.high,
               e->with_loss.mean_mj.typical);
    printf("\ninputs by which the mean is widest, each from low to high:\n");
    for (int i = 0; i < e->lever_count; i++)
        printf("  %-6s %-24s %8.2f ms %8.2f mJ\n", e->levers[i].profile, e->levers[i].key, e->levers[i].ms,
               e->levers[i].mj);
}

int agn__estimate_print(const struct agn__estimate_options *o, const struct agn__estimate *e)
{
    const struct agn_work *w = &e->work;
    printf("%s on %s at %.0f MHz, radio %s at %.0f kbit/s: modelled, nothing is measured on hardware\n",
           e->name, e->board.name, e->board.clock_mhz, e->radio.name, e->radio.rate_kbps);
    printf("instructions %.0f extractor, %.0f local, %.0f encoding (Cortex-M7, %s)\n",
           w->extract_instructions, w->local_instructions, w->encode_instructions,
           e->counted ? "counted under QEMU" : "modelled");
    printf("a frame sent %.0f bytes in %.3g packets, answer %.0f bytes; %.1f %% of frames are sent (%s)\n",
           w->packet_bytes, w->packets, w->reply_bytes, 100.0 * w->sent_share,
           agn__figures_name(e->bytes_are));
    if (isfinite(e->accuracy))
        printf("accuracy     %.2f %%, measured\n", 100.0 * e->accuracy);
    printf("memory       RAM %u of %.0f bytes, flash %u of %.0f\n", (unsigned)e->needs.ram_bytes,
           e->board.ram_bytes, (unsigned)e->needs.flash_bytes, e->board.flash_bytes);
    if (e->needs.ram_bytes > e->board.ram_bytes || e->needs.flash_bytes > e->board.flash_bytes)
        printf("             DOES NOT FIT\n");
    print_stages(e);
    print_rest(o, e);
    return AGN_CLI_SUCCESS;
}

/* ---- JSON
 * --------------------------------------------------------------------------------------------------- */

static json_t *json_interval(struct agn_interval v)
{
    return json_pack("{s:o, s:o, s:o}", "low", agn__cli_json_real(v.low), "typical",
                     agn__cli_json_real(v.typical), "high", agn__cli_json_real(v.high));
}

static json_t *json_both(struct agn_interval ms, struct agn_interval mj)
{
    return json_pack("{s:o, s:o}", "ms", json_interval(ms), "mj", json_interval(mj));
}

static json_t *json_work(const struct agn__estimate *e)
{
    const struct agn_work *w = &e->work;
    return json_pack("{s:f, s:f, s:f, s:s, s:s, s:f, s:f, s:f, s:f, s:f}", "extract_instructions",
                     w->extract_instructions, "local_instructions", w->local_instructions,
                     "encode_instructions", w->encode_instructions, "instructions",
                     e->counted ? "counted" : "modelled", "bytes", agn__figures_name(e->bytes_are), "packets",
                     w->packets, "packet_bytes", w->packet_bytes, "reply_bytes", w->reply_bytes, "sent_share",
                     w->sent_share, "server_ms", w->server_ms);
}

static json_t *json_percentiles(const struct agn__estimate *e)
{
    struct percentile p[PERCENTILES];
    json_t *list = json_array();
    find_percentiles(e, p);
    for (int i = 0; i < PERCENTILES; i++)
        json_array_append_new(
            list, json_pack("{s:f, s:f, s:f}", "share", p[i].share, "ms", p[i].ms, "mj", p[i].mj));
    return list;
}

static json_t *json_costs(const struct agn__estimate *e)
{
    const struct agn_cost *c = &e->cost;
    json_t *stages = json_object(), *levers = json_array();
    for (int i = 0; i < AGN_COST_STAGES; i++)
        json_object_set_new(stages, agn_cost_stage_name((enum agn_cost_stage)i),
                            json_both(c->stage_ms[i], c->stage_mj[i]));
    for (int i = 0; i < e->lever_count; i++)
        json_array_append_new(levers,
                              json_pack("{s:s, s:s, s:f, s:f}", "profile", e->levers[i].profile, "key",
                                        e->levers[i].key, "ms", e->levers[i].ms, "mj", e->levers[i].mj));
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:f, s:o}", "stages", stages, "sent",
                     json_both(c->sent_ms, c->sent_mj), "unsent", json_both(c->unsent_ms, c->unsent_mj),
                     "mean", json_both(c->mean_ms, c->mean_mj), "median_ms", json_interval(c->median_ms),
                     "percentiles", json_percentiles(e), "mean_board_mj", json_interval(c->mean_board_mj),
                     "frames_per_second", json_interval(c->frames_per_second), "air_bytes", c->air_bytes,
                     "widest", levers);
}

static json_t *json_system(const struct agn__estimate_options *o, const struct agn__estimate *e)
{
    bool fits = e->needs.ram_bytes <= e->board.ram_bytes && e->needs.flash_bytes <= e->board.flash_bytes;
    json_t *system = json_pack(
        "{s:o, s:s, s:s, s:f, s:s, s:f, s:o, s:o, s:i, s:i, s:b}", "model", agn__cli_json_string(e->name),
        "kind", "modelled", "board", e->board.name, "clock_mhz", e->board.clock_mhz, "radio", e->radio.name,
        "rate_kbps", e->radio.rate_kbps, "work", json_work(e), "cost", json_costs(e), "ram_bytes",
        (int)e->needs.ram_bytes, "flash_bytes", (int)e->needs.flash_bytes, "fits", fits);
    if (system != NULL) {
        json_object_set_new(system, "accuracy", agn__cli_json_real(e->accuracy));
        json_object_set_new(system, "silent_accuracy", agn__cli_json_real(e->silent_accuracy));
    }
    if (system != NULL && o->accuracy >= 0.0)
        json_object_set_new(system, "takes_part", json_boolean(agn__estimate_takes_part(o, e)));
    if (system != NULL && o->loss > 0.0)
        json_object_set_new(system, "with_loss",
                            json_pack("{s:f, s:f, s:f, s:o}", "loss", o->loss, "deadline_ms", o->deadline_ms,
                                      "answered_share", e->with_loss.answered_share, "mean",
                                      json_both(e->with_loss.mean_ms, e->with_loss.mean_mj)));
    return system;
}

int agn__estimate_print_json(const struct agn__estimate_options *o, const struct agn__estimate *list,
                             int count)
{
    if (count == 1 && !o->compare)
        return agn__cli_print_json("estimate", json_system(o, list));
    json_t *systems = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(systems, json_system(o, &list[i]));
    return agn__cli_print_json("estimate", json_pack("{s:o}", "systems", systems));
}

/* ---- CSV
 * ---------------------------------------------------------------------------------------------------- */

static void write_csv_row(FILE *stream, const struct agn__estimate *e, const char *part,
                          struct agn_interval ms, struct agn_interval mj)
{
    agn_csv_field(stream, e->name);
    fprintf(stream, ",%s,%.6g,%.6g,%.6g,%.6g,%.6g,%.6g\n", part, ms.low, ms.typical, ms.high, mj.low,
            mj.typical, mj.high);
}

int agn__estimate_write_csv(const char *path, const struct agn__estimate *list, int count)
{
    struct agn_file_out out;
    int status = agn_file_out_open(&out, path);
    if (status < 0)
        return status;
    FILE *stream = out.stream;
    fprintf(stream, "model,modelled,ms_low,ms_typical,ms_high,mj_low,mj_typical,mj_high\n");
    for (int i = 0; i < count; i++) {
        const struct agn_cost *c = &list[i].cost;
        for (int s = 0; s < AGN_COST_STAGES; s++)
            write_csv_row(stream, &list[i], agn_cost_stage_name((enum agn_cost_stage)s), c->stage_ms[s],
                          c->stage_mj[s]);
        write_csv_row(stream, &list[i], "sent", c->sent_ms, c->sent_mj);
        write_csv_row(stream, &list[i], "unsent", c->unsent_ms, c->unsent_mj);
        write_csv_row(stream, &list[i], "mean", c->mean_ms, c->mean_mj);
    }
    return agn_file_out_commit(&out);
}

/* ---- profiles
 * ------------------------------------------------------------------------------------------------- */

static json_t *json_profile(enum agn_profile_kind kind, const char *name)
{
    struct agn_profile_input inputs[AGN_MOST_PROFILE_INPUTS];
    int count = agn_profile_inputs(kind, name, inputs, AGN_MOST_PROFILE_INPUTS);
    json_t *list = json_array();
    for (int i = 0; i < count; i++) {
        json_t *input = json_interval(inputs[i].value);
        json_object_set_new(input, "key", json_string(inputs[i].key));
        json_object_set_new(input, "unit", json_string(inputs[i].unit));
        json_object_set_new(input, "source", agn__cli_json_string(inputs[i].source));
        json_object_set_new(input, "sure", json_string(inputs[i].sure));
        json_array_append_new(list, input);
    }
    return json_pack("{s:s, s:o}", "name", name, "inputs", list);
}

static int print_profile(enum agn_profile_kind kind, const char *name)
{
    struct agn_board b;
    struct agn_radio r;
    int status = kind == AGN_PROFILE_BOARD ? agn_board_load(name, &b) : agn_radio_load(name, &r);
    if (status < 0)
        return status;
    if (kind == AGN_PROFILE_BOARD)
        printf(
            "%-22s %-14s %5.0f MHz, RAM %8.0f B, flash %9.0f B, computing %.3g mA (%.3g to %.3g) at %.2g V\n",
            b.name, b.target, b.clock_mhz, b.ram_bytes, b.flash_bytes, b.run_ma.typical, b.run_ma.low,
            b.run_ma.high, b.volts);
    else
        printf("%-22s %8.5g kbit/s, %7.0f baud, up to %5.0f B, sending %.3g mA (%.3g to %.3g) at %.2g V\n",
               r.name, r.rate_kbps, r.serial_baud, r.longest_bytes, r.transmit_ma.typical, r.transmit_ma.low,
               r.transmit_ma.high, r.volts);
    return AGN_OK;
}

int agn__estimate_list(enum agn_profile_kind kind, bool json)
{
    char names[AGN_MOST_PROFILES][AGN_PROFILE_NAME];
    int count = agn_profile_names(kind, names, AGN_MOST_PROFILES), status = AGN_OK;
    json_t *list = json_array();
    for (int i = 0; i < count && status >= 0; i++)
        if (json)
            json_array_append_new(list, json_profile(kind, names[i]));
        else
            status = print_profile(kind, names[i]);
    if (json)
        return agn__cli_print_json("estimate",
                                   json_pack("{s:o}", kind == AGN_PROFILE_BOARD ? "boards" : "radios", list));
    json_decref(list);
    return status < 0 ? agn__cli_fail("estimate", status) : AGN_CLI_SUCCESS;
}
