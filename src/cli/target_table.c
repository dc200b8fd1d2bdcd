/* RAM, stack and flash by processor. The figures are src/deploy/targets.c's. */
#include "cli/target_table.h"

#include <ctype.h>
#include <stdlib.h>

#include "agilenn/base.h"

bool agn__cli_parse_bytes(const char *text, uint32_t *bytes)
{
    uint64_t number = 0;
    const char *at = text;
    for (; isdigit((unsigned char)*at); at++) {
        number = number * 10 + (uint64_t)(*at - '0');
        if (number > UINT32_MAX)
            return false;
    }
    bool digits = at > text;
    if (*at == 'K' || *at == 'k') {
        number <<= 10;
        at++;
    } else if (*at == 'M' || *at == 'm') {
        number <<= 20;
        at++;
    }
    if (!digits || *at != '\0' || number == 0 || number > UINT32_MAX)
        return false;
    *bytes = (uint32_t)number;
    return true;
}

static void print_row(const struct agn_dev_model *model, const struct agn_target *target,
                      enum agn_optimise optimise)
{
    struct agn_target_needs needs, other;
    agn_target_needs(target, optimise, model, &needs);
    agn_target_needs(target, optimise == AGN_OPTIMISE_SPEED ? AGN_OPTIMISE_SIZE : AGN_OPTIMISE_SPEED, model,
                     &other);
    printf("%-14s %-7s %8u %6u %7u %6u %8u  %7u %7u %8u  %8u\n", target->name, target->kernels,
           (unsigned)needs.arena_bytes, (unsigned)needs.state_bytes, (unsigned)needs.packet_bytes,
           (unsigned)needs.stack_bytes, (unsigned)needs.ram_bytes, (unsigned)needs.code_bytes,
           (unsigned)needs.model_bytes, (unsigned)needs.flash_bytes, (unsigned)other.flash_bytes);
}

void agn__cli_print_targets(const struct agn_dev_model *model, const struct agn_target *only,
                            enum agn_optimise optimise)
{
    bool fast = optimise == AGN_OPTIMISE_SPEED;
    int count = 0;
    const struct agn_target *targets = agn_targets(&count);
    printf("\nbytes on a device (compiled with %s)\n", fast ? "-O2" : "-Os");
    printf("%-14s %-7s %8s %6s %7s %6s %8s  %7s %7s %8s  %8s\n", "target", "kernels", "arena", "state",
           "packet", "stack", "RAM", "code", "model", "flash", fast ? "with -Os" : "with -O2");
    if (only != NULL)
        print_row(model, only, optimise);
    for (int i = 0; i < count && only == NULL; i++)
        print_row(model, &targets[i], optimise);
    unsigned row = (unsigned)(model->input_w * model->input_c);
    printf(
        "RAM is arena + struct agn_dev + a packet's buffer + stack (a bound), flash is code (memcpy and "
        "memset "
        "apart) + model.\nNo frame is in it: its rows may come one by one, %u bytes each; a whole frame is "
        "%u bytes.\n",
        row, row * (unsigned)model->input_h);
}

json_t *agn__cli_json_targets(const struct agn_dev_model *model, const struct agn_target *only,
                              enum agn_optimise optimise)
{
    int count = 0;
    const struct agn_target *targets = agn_targets(&count);
    json_t *array = json_array();
    for (int i = 0; i < count; i++) {
        const struct agn_target *target = &targets[i];
        struct agn_target_needs needs;
        if (only != NULL && only != target)
            continue;
        agn_target_needs(target, optimise, model, &needs);
        json_t *object = json_pack(
            "{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "target", target->name, "kernels",
            target->kernels, "optimise", optimise == AGN_OPTIMISE_SPEED ? "speed" : "size", "arena_bytes",
            (json_int_t)needs.arena_bytes, "state_bytes", (json_int_t)needs.state_bytes, "packet_bytes",
            (json_int_t)needs.packet_bytes, "stack_bytes", (json_int_t)needs.stack_bytes, "ram_bytes",
            (json_int_t)needs.ram_bytes, "code_bytes", (json_int_t)needs.code_bytes, "model_bytes",
            (json_int_t)needs.model_bytes, "flash_bytes", (json_int_t)needs.flash_bytes);
        if (json_array_append_new(array, object)) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}
