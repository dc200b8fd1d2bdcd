/* `agilenn keys`: makes a key file for DTLS. Keys are src/base's work. */
#include "agilenn/base.h"
#include "agilenn/keys.h"
#include "cli/cli.h"
#include "cli/options.h"

int agn__cmd_keys(int argc, char **argv)
{
    const char *output = NULL, *prefix = "device";
    int devices = 1;
    const struct agn_cli_option options[] = {
        {.name = "output",
         .letter = 'o',
         .metavar = "FILE",
         .type = AGN_CLI_STRING,
         .string = &output,
         .required = true,
         .help = "the new file, which only you may read"},
        agn__cli_whole("devices", "N", &devices, 1, AGN_KEYS_MAX, "how many keys"),
        agn__cli_text("prefix", "NAME", &prefix, "the devices are called NAME-000001 and so on")};
    const struct agn_cli_command command = {
        .name = "keys",
        .usage = "[options] --output FILE",
        .description =
            "Makes pre-shared keys of 32 random bytes for devices that speak DTLS, a line `identity:key` "
            "each. "
            "The server takes the whole file, a device needs its own line alone. Keys are never printed. An "
            "existing file is not touched. docs/SECURITY.md tells how to hand keys out, change and withdraw "
            "them.",
        .example = "agilenn keys --output devices.psk --devices 20 --prefix cam\n"
                   "agilenn serve model.safetensors --psk-file devices.psk --plain-off\n"
                   "(umask 077; grep ^cam-000001: devices.psk >one.psk)\n"
                   "agilenn run model.agn --port 5684 --psk-file one.psk",
        .options = options,
        .option_count = AGN_COUNT_OF(options)};
    int code = agn__cli_parse(&command, argc, argv);
    if (code != AGN_CLI_GO_ON)
        return code;
    int status = agn_keys_generate(output, prefix, devices);
    if (status < 0)
        return agn__cli_fail("keys", status);
    fprintf(stderr, "%s: keys of %d devices\n", output, devices);
    return AGN_CLI_SUCCESS;
}
