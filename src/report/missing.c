/* What the page lacks: tables of the paper without a run of ours, and why. */
#include <string.h>

#include "report/report_internal.h"

/* Presets of the paper's data sets, as this program has them. */
static const char *const presets[AGN__PAPER_SETS] = {
    "cifar10-lean cifar10-deepcod cifar10-spinn cifar10-edge-only cifar10-local-only cifar10-mcunet",
    "cifar100-lean; none of the other systems yet",
    "svhn-lean; none of the other systems yet",
    "imagenet200-lean; none of the other systems yet",
};

static bool has_set(const struct agn__report *report, int set)
{
    for (int i = 0; i < report->designs.count; i++)
        if (report->designs.list[i].done > 0 &&
            strcmp(agn__dataset_key(report->designs.list[i].first->text[AGN__DATASET]),
                   agn__paper_sets[set]) == 0)
            return true;
    return false;
}

int agn__report_write_missing(struct agn__report *report)
{
    static const char *const columns[] = {"table of the paper", "data set", "what would make it", "presets"};
    struct agn__page *page = &report->page;
    agn__page_section(page, "missing", "What is missing");
    agn__table_begin(page, "Tables of the paper without a run of ours", columns, AGN_COUNT_OF(columns), 0);
    for (int i = 0; i < agn__topic_count; i++)
        for (int set = 0; set < AGN__PAPER_SETS; set++) {
            if (report->ours[i][set] != 0 || !agn__table_row(page))
                continue;
            agn__table_text(page, agn__topics[i].title);
            agn__table_text(page, agn__paper_sets[set]);
            agn__table_text(page, agn__topics[i].make);
            agn__table_text(page, presets[set]);
        }
    if (agn__table_end(page) == 0)
        agn__page_text(page, "Each table of the paper has a run of ours beside it.");
    agn__page_list_begin(page);
    if (!has_set(report, 2))
        agn__page_point(page, "SVHN: its pictures are not part of any Debian package and were not had.");
    if (!has_set(report, 3))
        agn__page_point(
            page,
            "ImageNet-200 at full size: its pictures are not part of any Debian package and were not had.");
    agn__page_point(page, "Latency and energy on a board: none was measured, all of ours are modelled. What "
                          "the server computes is "
                          "not in the results files and so not in the latency.");
    agn__page_point(page, "A reference network trained on ImageNet, which the paper starts from: ours begin "
                          "with random weights "
                          "unless a preset names a file.");
    agn__page_list_end(page);
    return AGN_OK;
}
