/* `agilenn serve`: the edge server. Serving is src/server's work, inference src/deploy's. */
#include <string.h>

#include "agilenn/run.h"
#include "cli/cli.h"
#include "cli/options.h"

struct serve_options {
    const char *address;
    int port, wait_ms, threads;
    bool json;
    struct agn_cli_list model;
};

static int parse(struct serve_options *o, int argc, char **argv)
{
    const struct agn_cli_option options[] = {
        {.name = "address",
         .metavar = "ADDR",
         .type = AGN_CLI_STRING,
         .string = &o->address,
         .help = "IP address or name to listen at; 0.0.0.0 is every IPv4 address of this machine"},
        {.name = "port",
         .metavar = "PORT",
         .type = AGN_CLI_INT,
         .integer = &o->port,
         .min = 0,
         .max = 65535,
         .help = "UDP port; 0 takes any free one and says which"},
        {.name = "wait",
         .metavar = "MS",
         .type = AGN_CLI_INT,
         .integer = &o->wait_ms,
         .min = 1,
         .max = 60000,
         .help = "answer with what has come so long after a frame's first packet"},
        {.name = "threads",
         .metavar = "N",
         .type = AGN_CLI_INT,
         .integer = &o->threads,
         .min = 0,
         .max = 1024,
         .help = "threads of the Remote NN; 0 = all cores"},
        {.name = "json",
         .type = AGN_CLI_FLAG,
         .flag = &o->json,
         .help = "print one JSON object when listening and one with the counts at the end"}};
    const struct agn_cli_command command = {
        .name = "serve",
        .usage = "[options] MODEL.safetensors",
        .description =
            "Serves the Remote NN of a trained model over CoAP/UDP (POST /v1/infer) until Ctrl-C.\n"
            "Devices must run the model.agn that was exported from the same file.",
        .example = "agilenn serve out/fashion/model.safetensors --port 5683\n"
                   "agilenn serve model.safetensors --address 0.0.0.0 --port 5683",
        .options = options,
        .option_count = AGN_COUNT_OF(options),
        .operands = &o->model,
        .min_operands = 1,
        .max_operands = 1,
        .operand_name = "MODEL.safetensors"};
    return agn__cli_parse(&command, argc, argv);
}

static int say_listening(const struct serve_options *o, const struct agn_edge *edge)
{
    unsigned port = agn_server_port(agn_edge_server(edge)), id = agn_edge_model_id(edge, 0);
    if (o->json) {
        printf("{\"listening\": {\"address\": \"%s\", \"port\": %u, \"model_id\": \"%08x\"}}\n", o->address,
               port, id);
    } else {
        printf("serving %s (model %08x) at coap://%s:%u/v1/infer; Ctrl-C ends\n", o->model.items[0], id,
               o->address, port);
    }
    return fflush(stdout) == 0 ? AGN_CLI_SUCCESS : AGN_CLI_FAILURE;
}

static int say_counts(const struct serve_options *o, const struct agn_server_stats *s)
{
    uint64_t bad =
        s->bad_malformed + s->bad_checksum + s->bad_version + s->bad_codec + s->bad_range + s->bad_model;
    if (!o->json) {
        printf(
            "%llu frames (%llu partial), %llu packets, %llu bad, %llu duplicates, %llu bytes in, %llu out, "
            "inference min/mean/max %.2f/%.2f/%.2f ms\n",
            (unsigned long long)s->frames, (unsigned long long)s->frames_partial,
            (unsigned long long)s->packets, (unsigned long long)bad, (unsigned long long)s->duplicates,
            (unsigned long long)s->bytes_in, (unsigned long long)s->bytes_out, 1e3 * s->infer_min_s,
            1e3 * s->infer_mean_s, 1e3 * s->infer_max_s);
        return AGN_CLI_SUCCESS;
    }
    json_t *object = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f}", "frames", (json_int_t)s->frames,
        "frames_complete", (json_int_t)s->frames_complete, "frames_partial", (json_int_t)s->frames_partial,
        "packets", (json_int_t)s->packets, "bad_packets", (json_int_t)bad, "duplicates",
        (json_int_t)s->duplicates, "bytes_in", (json_int_t)s->bytes_in, "bytes_out", (json_int_t)s->bytes_out,
        "infer_min_s", s->infer_min_s, "infer_mean_s", s->infer_mean_s, "infer_max_s", s->infer_max_s);
    return agn__cli_print_json("serve", object);
}

int agn__cmd_serve(int argc, char **argv)
{
    struct serve_options o = {.address = "127.0.0.1", .port = 5683, .wait_ms = 200};
    int code = parse(&o, argc, argv);
    if (code != AGN_CLI_GO_ON) {
        return code;
    }
    agn_nn_set_threads(o.threads);
    struct agn_server_config config = {
        .address = o.address, .port = (uint16_t)o.port, .frame_wait_ms = (uint32_t)o.wait_ms};
    struct agn_edge *edge = NULL;
    struct agn_server_stats stats;
    int status = agn_edge_open(o.model.items, o.model.count, &config, &edge);
    if (status < 0) {
        return agn__cli_fail("serve", status);
    }
    code = say_listening(&o, edge);
    if (code == AGN_CLI_SUCCESS) {
        status = agn_server_run(agn_edge_server(edge));
        agn_server_stats(agn_edge_server(edge), &stats);
        code = status < 0 ? agn__cli_fail("serve", status) : say_counts(&o, &stats);
    }
    agn_edge_close(edge);
    return code;
}
