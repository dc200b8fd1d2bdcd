/* Bounded lists of what was found; see findings.h. */
#include "sets/findings.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int agn__findings_add(struct agn_dataset_findings *findings, int most, const char *text)
{
    findings->count++;
    if (findings->kept == most && strcmp(text, findings->texts[most - 1]) >= 0)
        return AGN_OK;
    size_t size = strlen(text) + 1;
    if (!findings->texts)
        findings->texts = agn_alloc((size_t)most, sizeof *findings->texts);
    char *copy = findings->texts ? agn_alloc(size, 1) : NULL;
    if (!copy)
        return AGN_ERR_MEMORY;
    memcpy(copy, text, size);
    if (findings->kept == most)
        agn_free(findings->texts[--findings->kept]);
    int at = findings->kept++;
    for (; at > 0 && strcmp(findings->texts[at - 1], copy) > 0; at--)
        findings->texts[at] = findings->texts[at - 1];
    findings->texts[at] = copy;
    return AGN_OK;
}

void agn__findings_free(struct agn_dataset_findings *findings)
{
    for (int i = 0; i < findings->kept; i++)
        agn_free(findings->texts[i]);
    agn_free(findings->texts);
    *findings = (struct agn_dataset_findings){0};
}

/* The ending of a name in lower case, with its dot; other words where it has none, or none like that. */
static void suffix_of(const char *path, char kind[AGN_REPORT_KIND_BYTES])
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    size_t length = dot ? strlen(dot) : 0;
    bool plain = length > 1 && length < 12;
    for (size_t i = 1; plain && i < length; i++) {
        plain = isalnum((unsigned char)dot[i]) || dot[i] == '_' || dot[i] == '-' || dot[i] == '~';
        kind[i] = (char)tolower((unsigned char)dot[i]);
    }
    if (!plain) {
        (void)snprintf(kind, AGN_REPORT_KIND_BYTES, dot ? "other endings" : "without an ending");
        return;
    }
    kind[0] = '.';
    kind[length] = '\0';
}

int agn__unread_add(struct agn__unread *unread, const char *kind, const char *path)
{
    char suffix[AGN_REPORT_KIND_BYTES];
    if (!kind) {
        suffix_of(path, suffix);
        kind = suffix;
    }
    int at = 0;
    while (at < unread->kind_count && strcmp(unread->kinds[at].kind, kind) != 0)
        at++;
    if (at == AGN_REPORT_KINDS) { /* no room for one more kind */
        at--;
        kind = "more kinds";
    }
    if (at == unread->kind_count)
        unread->kind_count++;
    (void)snprintf(unread->kinds[at].kind, sizeof unread->kinds[at].kind, "%s", kind);
    unread->count++;
    return agn__findings_add(&unread->kinds[at].found, AGN_REPORT_UNREAD, path);
}

static int compare_kinds(const void *a, const void *b)
{
    return strcmp(((const struct agn_dataset_unread *)a)->kind, ((const struct agn_dataset_unread *)b)->kind);
}

void agn__unread_sort(struct agn__unread *unread)
{
    qsort(unread->kinds, (size_t)unread->kind_count, sizeof unread->kinds[0], compare_kinds);
}

void agn__unread_free(struct agn__unread *unread)
{
    for (int i = 0; i < unread->kind_count; i++)
        agn__findings_free(&unread->kinds[i].found);
    unread->kind_count = unread->count = 0;
}

void agn__unread_log(const struct agn__unread *unread, const struct agn_dataset_source *source)
{
    if (unread->count == 0)
        return;
    agn_log(AGN_LOG_WARN, "%s, split %s: %s not read: %d", source->path, source->split,
            unread->count == 1 ? "file or folder that is" : "files and folders that are", unread->count);
    for (int i = 0; i < unread->kind_count; i++) {
        const struct agn_dataset_unread *kind = &unread->kinds[i];
        agn_log(AGN_LOG_WARN, "  %d %s: %s%s", kind->found.count, kind->kind, kind->found.texts[0],
                kind->found.count > 1 ? ", ..." : "");
    }
}
