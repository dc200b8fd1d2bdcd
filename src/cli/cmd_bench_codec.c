/* `agilenn bench codec`: the codecs side by side on a trained model's features. */
#include <math.h>
#include <string.h>

#include "agilenn/bench_codec.h"
#include "cli/bench.h"
#include "cli/preset_options.h"

struct job {
    struct agn_cli_list operands; /* codec MODEL */
    const char *data, *firmware, *save;
    int limit, threads;
    bool json, learned;

    struct agn_model *model;
    struct agn_dataset *train, *test;
    struct agn_bench_codec result;
};

static int print_json(const struct job *job)
{
    const struct agn_bench_codec *r = &job->result;
    double lzw = r->rows[AGN_CODEC_LZW].bytes_mean;
    json_t *codecs = json_array();
    for (int i = 0; i < AGN_CODEC_COUNT; i++) {
        const struct agn_bench_codec_row *row = &r->rows[i];
        json_array_append_new(
            codecs, json_pack("{s:s, s:f, s:f, s:f, s:f, s:o, s:o, s:i, s:i}", "codec", row->name,
                              "bytes_mean", row->bytes_mean, "of_lzw", row->bytes_mean / lzw, "encode_mb_s",
                              row->encode_mb_s, "decode_mb_s", row->decode_mb_s, "instructions_per_symbol",
                              agn__cli_json_real(row->instructions_per_symbol), "packet_bytes_mean",
                              agn__cli_json_real(row->packet_bytes_mean), "table_bytes",
                              (int)row->table_bytes, "encoder_ram_bytes", (int)row->encoder_bytes));
    }
    json_t *object = json_pack(
        "{s:o, s:i, s:i, s:f, s:b, s:{s:f, s:f, s:f, s:f}, s:o, s:o}", "preset",
        agn__cli_json_string(job->model->preset.name), "images", r->images, "symbols", r->symbols,
        "zero_share", r->zero_share, "contexts_learned_now", job->learned, "entropy_bytes", "symbols",
        r->entropy, "by_channel", r->channel_entropy, "by_context", r->context_entropy, "model",
        r->model_entropy, "codecs", codecs, "firmware",
        r->firmware_note == NULL ? json_string("cortex-m7 under QEMU") : json_string(r->firmware_note));
    return agn__cli_print_json("bench codec", object);
}

static int print_text(const struct job *job)
{
    const struct agn_bench_codec *r = &job->result;
    double lzw = r->rows[AGN_CODEC_LZW].bytes_mean;
    printf("codecs on %d images' features, preset %s: %d symbols a frame, %.1f %% of them 0%s\n\n", r->images,
           job->model->preset.name, r->symbols, 100.0 * r->zero_share,
           job->learned ? "; contexts learned now, the model had none" : "");
    printf(
        "codec      bytes a frame  of LZW  encode MB/s  decode MB/s  instructions a symbol  tables  RAM\n");
    for (int i = 0; i < AGN_CODEC_COUNT; i++) {
        const struct agn_bench_codec_row *row = &r->rows[i];
        char instructions[24] = "-";
        if (!isnan(row->instructions_per_symbol))
            snprintf(instructions, sizeof(instructions), "%.1f", row->instructions_per_symbol);
        printf("%-10s %13.1f  %6.3f  %11.1f  %11.1f  %21s  %6u  %u\n", row->name, row->bytes_mean,
               row->bytes_mean / lzw, row->encode_mb_s, row->decode_mb_s, instructions,
               (unsigned)row->table_bytes, (unsigned)row->encoder_bytes);
    }
    printf("\nentropy, bytes a frame: %.1f of single symbols, %.1f by channel, %.1f by context (counted on "
           "these "
           "images), %.1f by the model's tables\n",
           r->entropy, r->channel_entropy, r->context_entropy, r->model_entropy);
    if (r->firmware_note != NULL)
        printf("no instructions counted: %s\n", r->firmware_note);
    return AGN_CLI_SUCCESS;
}

static int run(struct job *job)
{
    agn_nn_set_threads(job->threads);
    int status = agn_model_load(job->operands.items[0], &job->model);
    if (status >= 0)
        status = agn__cli_replace_data(&job->model->preset, job->data);
    if (status >= 0)
        status = agn__cli_open_dataset(&job->model->preset, "train", -1, &job->train);
    if (status >= 0)
        status = agn__cli_open_dataset(&job->model->preset, "test", job->limit, &job->test);
    if (status >= 0 && (job->model->distributions == 1 || job->save != NULL)) {
        job->learned = true;
        status = agn_model_learn_contexts(job->model, job->train);
    }
    if (status >= 0 && job->save != NULL)
        status = agn_model_learn_trust(job->model, job->train);
    if (status >= 0 && job->save != NULL)
        status = agn_model_save(job->model, job->save);
    const struct agn_bench_codec_config config = {
        .model = job->model, .calibration = job->train, .images = job->test, .firmware = job->firmware};
    if (status >= 0)
        status = agn_bench_codec(&config, &job->result);
    if (status < 0)
        return agn__cli_fail("bench codec", status);
    return job->json ? print_json(job) : print_text(job);
}

int agn__cmd_bench_codec(int argc, char **argv)
{
    struct job job = {.limit = -1};
    const struct agn_cli_option options[] = {
        agn__cli_text("data", "DIR", &job.data,
                      "folder of the data set, instead of the one that the model was trained on"),
        agn__cli_whole("limit", "N", &job.limit, -1, 1000000000,
                       "test images, spread evenly over the set; 0 = all, -1 = as in training"),
        agn__cli_text(
            "firmware", "DIR", &job.firmware,
            "the source tree's firmware folder: counts a Cortex-M7's instructions under QEMU, 20 images"),
        agn__cli_text(
            "save", "FILE", &job.save,
            "learn the context tables anew, and how far to trust answers to parts of a frame, and write "
            "the model with them to FILE"),
        agn__cli_whole("threads", "N", &job.threads, 0, 1024, AGN_CLI_HELP_THREADS),
        agn__cli_flag("json", &job.json, "print one JSON object")};
    const struct agn_cli_command command = {
        .name = "bench codec",
        .usage = "MODEL.safetensors [options]",
        .description =
            "Quantises the model as for a device, runs the test images through it, and codes the "
            "symbols of each frame with every codec: mean bytes (payload, without packet headers), "
            "speed on this machine in MB of 3-bit symbols, and, with --firmware, instructions a symbol on "
            "a Cortex-M7. Entropies stand beside them. The context tables come from training; a model "
            "trained before there were any learns them from its training images first.",
        .example = "  agilenn bench codec out/demo/model.safetensors --firmware firmware\n"
                   "  agilenn bench codec old.safetensors --save new.safetensors --json",
        .options = options,
        .option_count = AGN_COUNT_OF(options),
        .operands = &job.operands,
        .min_operands = 1,
        .max_operands = 1,
        .operand_name = "MODEL"};
    int code = agn__cli_parse(&command, argc, argv);
    if (code == AGN_CLI_GO_ON)
        code = run(&job);
    agn_dataset_free(job.train);
    agn_dataset_free(job.test);
    agn_model_free(job.model);
    return code;
}
