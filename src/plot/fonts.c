/* The union of the characters of all fonts that text falls back on, as fontconfig tells it. */
#include "plot/fonts.h"

#include <fontconfig/fontconfig.h>
#include <pthread.h>
#include <string.h>

enum { CODES = 0x110000, PAGE_CODES = 32 * FC_CHARSET_MAP_SIZE };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static FcChar32 characters[CODES / 32]; /* a bit each; none: fontconfig knows no font */

static void keep(const FcCharSet *set)
{
    FcChar32 map[FC_CHARSET_MAP_SIZE], next;
    FcChar32 page = FcCharSetFirstPage(set, map, &next);
    for (; page != FC_CHARSET_DONE; page = FcCharSetNextPage(set, map, &next))
        if (page <= CODES - PAGE_CODES)
            memcpy(characters + page / 32, map, sizeof map);
}

static void look_for_fonts(void)
{
    FcResult result;
    FcConfig *config = FcInitLoadConfigAndFonts();
    FcPattern *pattern = FcNameParse((const FcChar8 *)"DejaVu Sans");
    if (config && pattern) {
        FcCharSet *set = NULL;
        FcConfigSubstitute(config, pattern, FcMatchPattern);
        FcDefaultSubstitute(pattern);
        FcFontSet *fonts = FcFontSort(config, pattern, FcTrue, &set, &result);
        if (set) {
            keep(set);
            FcCharSetDestroy(set);
        }
        if (fonts)
            FcFontSetDestroy(fonts);
    }
    if (pattern)
        FcPatternDestroy(pattern);
    if (config)
        FcConfigDestroy(config);
}

bool agn__font_has(uint32_t code)
{
    if (code < 0x7f)
        return true;
    pthread_once(&once, look_for_fonts);
    return code < CODES && (characters[code / 32] >> code % 32 & 1) != 0;
}
