/* Fuzz target: the test split of a data set of one file. The first byte chooses the format, the rest is the
 * file, in a folder of its own, since the readers work on files. Inspecting and opening must agree. */
#define _XOPEN_SOURCE 700
#include <stdint.h>
#include <stdlib.h>

#include "agilenn/sets.h"
#include "fuzz_folder.h"

static const char *const formats[] = {"cifar10", "cifar100", "svhn"};
static const char *const files[] = {"test_batch.bin", "test.bin", "test_32x32.mat"};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    size_t which = data[0] % AGN_COUNT_OF(formats);
    static const char *paths[AGN_COUNT_OF(files)];
    if (!paths[which])
        paths[which] = fuzz_folder_file(files[which]);
    fuzz_folder_write(paths[which], data + 1, size - 1);

    struct agn_dataset_source source = {.format = formats[which],
                                        .path = fuzz_folder,
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
