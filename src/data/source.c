/* What settings say of where a data set comes from. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agilenn/data.h"

enum { FOLDER_NAME_BYTES = 64 };

const char *const agn_dataset_formats[] = {"idx",  "folder",        "cifar10", "cifar100",
                                           "svhn", "tiny-imagenet", NULL};

bool agn_dataset_format_known(const char *format)
{
    for (int i = 0; agn_dataset_formats[i]; i++)
        if (strcmp(agn_dataset_formats[i], format) == 0)
            return true;
    return false;
}

void agn_dataset_list_formats(char *text, size_t size)
{
    size_t at = 0;
    text[0] = '\0';
    for (int i = 0; agn_dataset_formats[i] && at < size; i++) {
        const char *before = i == 0 ? "" : agn_dataset_formats[i + 1] ? ", " : " or ";
        at += (size_t)snprintf(text + at, size - at, "%s%s", before, agn_dataset_formats[i]);
    }
}

bool agn_dataset_ground(const char *text, uint8_t rgb[3])
{
    if (strcmp(text, "white") == 0 || strcmp(text, "black") == 0) {
        memset(rgb, text[0] == 'w' ? 255 : 0, 3);
        return true;
    }
    if (text[0] != '#' || strlen(text) != 7 || strspn(text + 1, "0123456789abcdefABCDEF") != 6)
        return false;
    unsigned long value = strtoul(text + 1, NULL, 16);
    for (int c = 0; c < 3; c++)
        rgb[c] = (uint8_t)(value >> (16 - 8 * c));
    return true;
}

/* ---- which images are whose ------------------------------------------------------------- */

double agn_dataset_share(const char *text)
{
    char *end = NULL;
    double value = text && *text ? strtod(text, &end) : 0.0;
    return end && *end == '\0' && value > 0.0 && value < 1.0 ? value : 0.0;
}

static bool is_given(const char *text)
{
    return text && *text;
}

static bool is_number(const char *text)
{
    char *end = NULL;
    (void)strtod(text, &end);
    return end != text && *end == '\0';
}

static int check_part(const char *key, const char *format, const char *text)
{
    if (!is_given(text) || agn_dataset_share(text) > 0.0)
        return AGN_OK;
    if (is_number(text))
        return agn_fail(AGN_ERR_RANGE,
                        "data.%s = '%s': expected a share of the training images between 0 and 1, such as "
                        "0.1, or the name of a folder",
                        key, text);
    if (strcmp(format, "folder") != 0)
        return agn_fail(AGN_ERR_ARG,
                        "data.%s = '%.40s': expected a share of the training images, such as 0.1; only class "
                        "folders (data.format = folder) have splits by name",
                        key, text);
    if (text[0] == '.' || strchr(text, '/') || strcmp(text, "train") == 0 ||
        strlen(text) >= FOLDER_NAME_BYTES)
        return agn_fail(AGN_ERR_ARG,
                        "data.%s = '%.80s': expected the name of a folder beside train, such as val, or a "
                        "share of the training images, such as 0.1",
                        key, text);
    return AGN_OK;
}

int agn_dataset_check_parts(const char *format, const char *test, const char *validation)
{
    int status = check_part("test", format, test);
    if (status == AGN_OK)
        status = check_part("validation", format, validation);
    if (status == AGN_OK && is_given(validation) && agn_dataset_share(validation) == 0.0 &&
        strcmp(validation, is_given(test) ? test : "test") == 0)
        status = agn_fail(AGN_ERR_ARG,
                          "data.validation = '%s' are the test images: choose another folder, or a share of "
                          "the training images such as 0.1",
                          validation);
    return status;
}
