/* `agilenn data fetch`: downloads a data set. The work is src/data's. */
#include "agilenn/data.h"
#include "agilenn/fetch.h"
#include "cli/cli.h"
#include "cli/options.h"

static int fetch(const struct agn_fetch_config *config)
{
    char folder[1024];
    int status = agn_fetch(config, folder);
    if (status < 0)
        return agn__cli_fail("data fetch", status);
    printf("%s is in %s\nlook at it with: agilenn data check --format %s %s\n", config->name, folder,
           config->name, folder);
    return AGN_CLI_SUCCESS;
}

int agn__cmd_data_fetch(int argc, char **argv)
{
    struct agn_cli_list operands = {.count = 0};
    struct agn_fetch_config config = {
        .stall_s = 30,
        .retries = 5,
        .retry_wait_ms = 1000,
        .progress = agn_progress_print,
        .progress_user = stderr,
    };
    const struct agn_cli_option options[] = {
        {.name = "out",
         .metavar = "DIR",
         .help = "where files go; made when missing",
         .type = AGN_CLI_STRING,
         .string = &config.folder,
         .required = true},
        agn__cli_text("url", "BASE", &config.base_url,
                      "take the files from BASE/FILE instead of their publisher's server"),
        agn__cli_whole("stall", "SECONDS", &config.stall_s, 1, 3600,
                       "give up on a connection that sends nothing for so long"),
        agn__cli_whole("retries", "N", &config.retries, 0, 1000,
                       "failures in a row, without a byte won, that are tried again"),
    };
    const struct agn_cli_command command = {
        .name = "data fetch",
        .usage = "NAME --out DIR [options]",
        .description =
            "Downloads cifar10, cifar100, svhn or tiny-imagenet from its publisher, checks the MD5 sum and "
            "unpacks archives. What an earlier run has left (FILE.part) is gone on with. The SHA-256 sum of "
            "a "
            "complete file is kept in FILE.sha256. Archives stay beside what they unpack to; delete them as "
            "you like. fashion-mnist is a Debian package: dataset-fashion-mnist.",
        .example = "  agilenn data fetch cifar10 --out sets\n",
        .options = options,
        .option_count = AGN_COUNT_OF(options),
        .operands = &operands,
        .min_operands = 1,
        .max_operands = 1,
        .operand_name = "NAME",
    };
    int code = agn__cli_parse(&command, argc, argv);
    if (code != AGN_CLI_GO_ON)
        return code;
    config.name = operands.items[0];
    if (!config.folder || !config.folder[0])
        return agn__cli_usage_error("data fetch", "--out: a folder's name is missing");
    return fetch(&config);
}
