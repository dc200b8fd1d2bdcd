/* The text of a preset, and after a zero byte settings as --set takes them, one a line. What is taken can be
 * written and read again, and is the same then; what is refused leaves the preset as it was. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agilenn/preset.h"

enum { PRINTED_BYTES = 16384 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(int condition)
{
    if (!condition)
        abort();
}

static void print(const struct agn_preset *preset, char text[PRINTED_BYTES])
{
    int length = agn_preset_format(preset, text, PRINTED_BYTES);
    demand(length > 0 && strlen(text) == (size_t)length);
}

/* Written and read again, it is the same. */
static void check(const struct agn_preset *preset)
{
    static char text[PRINTED_BYTES], again[PRINTED_BYTES];
    struct agn_preset read;
    print(preset, text);
    agn_preset_defaults(&read);
    demand(agn_preset_parse(text, &read) == AGN_OK);
    print(&read, again);
    demand(strcmp(text, again) == 0);
    demand(agn_preset_check(&read) == agn_preset_check(preset));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct agn_preset preset, before;
    char *text = malloc(size + 1);
    if (!text)
        abort();
    memcpy(text, data, size);
    text[size] = 0;
    agn_preset_defaults(&preset);
    memcpy(&before, &preset, sizeof preset);
    if (agn_preset_parse(text, &preset) < 0)
        demand(memcmp(&before, &preset, sizeof preset) == 0);
    size_t at = strlen(text) + 1;
    char *save = NULL;
    for (char *line = at < size ? strtok_r(text + at, "\n", &save) : NULL; line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        memcpy(&before, &preset, sizeof preset);
        if (agn_preset_set(&preset, line) < 0)
            demand(memcmp(&before, &preset, sizeof preset) == 0);
    }
    check(&preset);
    free(text);
    return 0;
}
