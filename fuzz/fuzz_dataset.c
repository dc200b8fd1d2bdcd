/* Fuzz target: the test split of a data set of one file. The first byte chooses the format, the rest is the
 * file, in a folder of its own, since the readers work on files. Inspecting and opening must agree. */
#define _XOPEN_SOURCE 700
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agilenn/sets.h"

static const char *const formats[] = {"cifar10", "cifar100", "svhn"};
static const char *const files[] = {"test_batch.bin", "test.bin", "test_32x32.mat"};

static char folder[512];

static void remove_folder(void)
{
    char path[600];
    for (size_t i = 0; i < AGN_COUNT_OF(files); i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        (void)unlink(path);
    }
    (void)rmdir(folder);
}

static void make_folder(void)
{
    const char *parent = getenv("TMPDIR");
    (void)snprintf(folder, sizeof folder, "%s/fuzz-dataset-XXXXXX", parent && *parent ? parent : "/tmp");
    if (!mkdtemp(folder))
        abort();
    (void)atexit(remove_folder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    if (!folder[0])
        make_folder();
    size_t which = data[0] % AGN_COUNT_OF(formats);
    char path[600];
    (void)snprintf(path, sizeof path, "%s/%s", folder, files[which]);
    FILE *stream = fopen(path, "wb");
    if (!stream || fwrite(data + 1, 1, size - 1, stream) != size - 1 || fclose(stream) != 0)
        abort();

    struct agn_dataset_source source = {.format = formats[which],
                                        .path = folder,
                                        .split = "test",
                                        .height = 32,
                                        .width = 32,
                                        .channels = 3,
                                        .limit = 0};
    struct agn_dataset_report report = {0};
    struct agn_dataset *dataset = NULL;
    int inspected = agn_dataset_inspect(&source, &report);
    int opened = agn_dataset_open(&source, &dataset);
    if (opened == AGN_OK && (inspected != AGN_OK || report.bad.count != 0 || report.count != dataset->count))
        abort();
    if (opened != AGN_OK && inspected == AGN_OK && report.bad.count == 0)
        abort();
    if (inspected == AGN_OK)
        agn_dataset_report_free(&report);
    agn_dataset_free(dataset);
    return 0;
}
