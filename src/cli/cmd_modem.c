/* `agilenn modem`: a WiFi modem for firmware in an emulator or on a serial line. The work is src/modem's. */
#include <stdlib.h>
#include <string.h>

#include "agilenn/base.h"
#include "agilenn/modem.h"
#include "cli/cli.h"
#include "cli/options.h"

enum { REPORT_S = 5, HOST_BYTES = 256 };

struct modem_options {
    const char *connect, *listen, *pty, *server, *ssid, *password;
    int seed;
    double patience_s, bandwidth_kbps, delay_ms, jitter_ms, boot_ms;
    double loss, reorder, uart_loss, uart_corrupt, reset, busy, error; /* percent */
};

static struct agn_cli_option number(const char *name, const char *metavar, double *variable, double max,
                                    const char *help)
{
    return (struct agn_cli_option){
        .name = name, .metavar = metavar, .type = AGN_CLI_DOUBLE, .real = variable, .max = max, .help = help};
}

static int parse(struct modem_options *o, int argc, char **argv)
{
    const struct agn_cli_option options[] = {
        agn__cli_text(
            "connect", "PATH", &o->connect,
            "the serial line is a unix socket on which QEMU listens (-serial unix:PATH,server=on,wait=on)"),
        agn__cli_text("listen", "PATH", &o->listen,
                      "the serial line is a unix socket that this program makes, for one device"),
        agn__cli_text("pty", "LINK", &o->pty,
                      "the serial line is a pseudo-terminal; LINK becomes a symbolic link to it"),
        agn__cli_text("server", "HOST:PORT", &o->server,
                      "send all datagrams there, whatever address the device asks for; else to that address"),
        number("patience", "S", &o->patience_s, 86400, "seconds to wait for the other end of the line"),
        agn__cli_whole("seed", "N", &o->seed, 0, 2147483647, "chooses what is lost, delayed and damaged"),
        number("bandwidth", "KBPS", &o->bandwidth_kbps, 1e6,
               "of the radio each way, kilobits a second, headers of IP and UDP included; 0 = no limit"),
        number("delay", "MS", &o->delay_ms, 60000, "of each datagram, each way"),
        number("jitter", "MS", &o->jitter_ms, 60000, "added to it at random, evenly from 0"),
        number("loss", "PERCENT", &o->loss, 100, "of datagrams, each way"),
        number("reorder", "PERCENT", &o->reorder, 100, "of datagrams are overtaken by later ones, each way"),
        number("uart-loss", "PERCENT", &o->uart_loss, 100, "of bytes on the serial line, each way"),
        number("uart-corrupt", "PERCENT", &o->uart_corrupt, 100, "of bytes on the serial line, each way"),
        number("reset", "PERCENT", &o->reset, 100,
               "of datagrams from the device make the modem restart, before, within or after their bytes"),
        number("boot", "MS", &o->boot_ms, 60000, "from a restart to \"ready\""),
        number("busy", "PERCENT", &o->busy, 100, "of commands are answered \"busy p...\" and ignored"),
        number("error", "PERCENT", &o->error, 100, "of commands are answered ERROR and ignored"),
        agn__cli_text(
            "ssid", "NAME", &o->ssid,
            "the only network there is, to be joined with AT+CWJAP; else the modem is joined already"),
        agn__cli_text("password", "TEXT", &o->password, "of that network")};
    const struct agn_cli_command command = {
        .name = "modem",
        .usage = "(--connect PATH | --listen PATH | --pty LINK) [options]",
        .description =
            "Plays the WiFi modem of a microcontroller: speaks ESP-AT on a serial line, forwards UDP to "
            "the real server, and loses, delays and damages what passes as it is told, from a seed. Works "
            "until the device hangs up or Ctrl-C; prints what happened as one JSON object at the end.\n"
            "Firmware that keeps working behind a bad modem here will do so behind a real one; "
            "docs/MODEM.md says what is modelled and what is not.",
        .example = "agilenn serve out/fashion/model.safetensors --port 5683 &\n"
                   "qemu-system-arm -M mps2-an500 -nographic -kernel firmware.elf \\\n"
                   "    -serial unix:/tmp/uart,server=on,wait=on &\n"
                   "agilenn modem --connect /tmp/uart --server 127.0.0.1:5683 \\\n"
                   "    --bandwidth 270 --delay 5 --jitter 10 --loss 10 --uart-loss 0.1 --seed 1",
        .options = options,
        .option_count = AGN_COUNT_OF(options)};
    return agn__cli_parse(&command, argc, argv);
}

/* "HOST:PORT", also "[v6 address]:PORT". */
static bool split_server(const char *server, char host[HOST_BYTES], uint16_t *port)
{
    const char *colon = strrchr(server, ':');
    char *end = NULL;
    long number = colon && colon[1] >= '0' && colon[1] <= '9' ? strtol(colon + 1, &end, 10) : 0;
    if (!end || *end || number < 1 || number > 65535)
        return false;
    size_t length = (size_t)(colon - server);
    if (length >= 2 && server[0] == '[' && server[length - 1] == ']') {
        server++;
        length -= 2;
    }
    if (length == 0 || length >= HOST_BYTES)
        return false;
    memcpy(host, server, length);
    host[length] = '\0';
    *port = (uint16_t)number;
    return true;
}

static int make_config(const struct modem_options *o, struct agn_modem_config *config, char host[HOST_BYTES])
{
    if (!!o->connect + !!o->listen + !!o->pty != 1)
        return agn__cli_usage_error("modem", "which serial line? give one of --connect, --listen and --pty");
    config->line = o->connect ? AGN_MODEM_CONNECT : o->listen ? AGN_MODEM_LISTEN : AGN_MODEM_PTY;
    config->path = o->connect ? o->connect : o->listen ? o->listen : o->pty;
    config->patience_s = o->patience_s;
    if (o->server) {
        if (!split_server(o->server, host, &config->server_port))
            return agn__cli_usage_error("modem", "--server %s: expected HOST:PORT, as in 127.0.0.1:5683",
                                        o->server);
        config->server_host = host;
    }
    if (o->password && !o->ssid)
        return agn__cli_usage_error("modem", "--password without --ssid");
    config->model = (struct agn_modem_model){.seed = (uint64_t)o->seed,
                                             .bandwidth_bps = 1e3 * o->bandwidth_kbps,
                                             .delay_s = 1e-3 * o->delay_ms,
                                             .jitter_s = 1e-3 * o->jitter_ms,
                                             .loss = o->loss / 100,
                                             .reorder = o->reorder / 100,
                                             .uart_loss = o->uart_loss / 100,
                                             .uart_corrupt = o->uart_corrupt / 100,
                                             .reset = o->reset / 100,
                                             .busy = o->busy / 100,
                                             .error = o->error / 100,
                                             .boot_s = 1e-3 * o->boot_ms,
                                             .ssid = o->ssid,
                                             .password = o->password};
    return AGN_CLI_GO_ON;
}

static void report_progress(const struct agn_modem_stats *s)
{
    fprintf(stderr,
            "%.0f s: %llu datagrams from the device, %llu sent; %llu from the server, %llu delivered; %llu "
            "resets\n",
            s->seconds, (unsigned long long)s->up, (unsigned long long)s->up_sent,
            (unsigned long long)s->down, (unsigned long long)s->down_delivered,
            (unsigned long long)s->resets);
}

static int print_stats(const struct agn_modem_stats *s)
{
    const struct {
        const char *name;
        uint64_t count;
    } counts[] = {{"uart_up", s->uart_up},
                  {"uart_up_lost", s->uart_up_lost},
                  {"uart_up_corrupted", s->uart_up_corrupted},
                  {"uart_down", s->uart_down},
                  {"uart_down_lost", s->uart_down_lost},
                  {"uart_down_corrupted", s->uart_down_corrupted},
                  {"uart_down_overrun", s->uart_down_overrun},
                  {"commands", s->commands},
                  {"unknown_commands", s->unknown_commands},
                  {"refused_commands", s->refused_commands},
                  {"busy", s->busy},
                  {"resets", s->resets},
                  {"opened", s->opened},
                  {"up", s->up},
                  {"up_bytes", s->up_bytes},
                  {"up_lost", s->up_lost},
                  {"up_reordered", s->up_reordered},
                  {"up_overrun", s->up_overrun},
                  {"up_sent", s->up_sent},
                  {"down", s->down},
                  {"down_bytes", s->down_bytes},
                  {"down_lost", s->down_lost},
                  {"down_reordered", s->down_reordered},
                  {"down_overrun", s->down_overrun},
                  {"down_delivered", s->down_delivered},
                  {"down_unwanted", s->down_unwanted},
                  {"network_errors", s->network_errors}};
    json_t *object = json_pack("{s:f}", "seconds", s->seconds);
    for (size_t i = 0; object && i < AGN_COUNT_OF(counts); i++)
        if (json_object_set_new(object, counts[i].name, json_integer((json_int_t)counts[i].count)) != 0) {
            json_decref(object);
            object = NULL;
        }
    return agn__cli_print_json("modem", object);
}

int agn__cmd_modem(int argc, char **argv)
{
    struct modem_options o = {.patience_s = 10, .bandwidth_kbps = 6000, .boot_ms = 300};
    struct agn_modem_config config = {0};
    char host[HOST_BYTES];
    int code = parse(&o, argc, argv);
    if (code == AGN_CLI_GO_ON)
        code = make_config(&o, &config, host);
    if (code != AGN_CLI_GO_ON)
        return code;
    struct agn_modem *modem = NULL;
    struct agn_modem_stats stats;
    int status = agn_modem_open(&modem, &config);
    if (status < 0)
        return agn__cli_fail("modem", status);
    fprintf(stderr, "the serial line is %s\n", agn_modem_line_name(modem));
    while ((status = agn_modem_run(modem, REPORT_S)) > 0) {
        agn_modem_stats(modem, &stats);
        report_progress(&stats);
    }
    agn_modem_stats(modem, &stats);
    agn_modem_free(modem);
    if (status < 0)
        agn__cli_fail("modem", status);
    code = print_stats(&stats);
    return status < 0 ? AGN_CLI_FAILURE : code;
}
