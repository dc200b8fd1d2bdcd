/* The folder as a CMSIS-Pack: components for what a project may want of it, each with its files. Examples are
 * templates of their components: a pack's own examples are projects for a board and an IDE. */
#include "deploy/cmsis_pack.h"

#include <string.h>

#include "agilenn/base.h"
#include "agn_build.h"

enum component { RUNTIME, LINK, DRIVER, MODEL, COMPONENTS, NONE };

static const struct {
    const char *begin; /* of the name in the folder; the first that fits counts */
    enum component component;
    const char *template;           /* what it is an example of; NULL: part of the component */
} places[] = {{"src/", NONE, NULL}, /* for Arduino: all of them once more */
              {"runtime/agn_link.", LINK, NULL},
              {"runtime/agn_coap.", LINK, NULL},
              {"runtime/agn_pause.", LINK, NULL},
              {"runtime/agn_rate.", LINK, NULL},
              {"runtime/agn_split.", LINK, NULL},
              {"runtime/", RUNTIME, NULL},
              {"drivers/", DRIVER, NULL},
              {"examples/udp.c", LINK, "Frames through a socket"},
              {"examples/modem.c", DRIVER, "Frames through a serial modem"},
              {"examples/self_test.c", MODEL, "Self-test"},
              {"example.c", MODEL, "A frame from pixels to prediction"},
              {"examples/", MODEL, "Another example"},
              {"", MODEL, NULL}};

static size_t place_of(const char *name)
{
    size_t i = 0;
    while (strncmp(name, places[i].begin, strlen(places[i].begin)) != 0)
        i++;
    return i;
}

static void add_file(struct agn__text *text, const char *name, size_t length, const char *template)
{
    const char *end = name + length;
    bool source = length > 2 && strncmp(end - 2, ".c", 2) == 0;
    bool header = length > 2 && strncmp(end - 2, ".h", 2) == 0;
    bool doc = length > 3 && strncmp(end - 3, ".md", 3) == 0;
    if (!source && !header && !doc)
        return;
    agn__text_add(text, "        <file category=\"%s\" name=\"%.*s\"",
                  source   ? "sourceC"
                  : header ? "header"
                           : "doc",
                  (int)length, name);
    if (template != NULL)
        agn__text_add(text, " attr=\"template\" select=\"%s\"", template);
    agn__text_add(text, "/>\n");
}

static void add_component(struct agn__text *text, const struct agn__cmsis_pack *pack, enum component which)
{
    const struct {
        const char *group, *sub, *condition, *description;
    } components[COMPONENTS] = {
        [RUNTIME] = {"AgileNN", "Runtime", "", "Extractor, Local NN, packets, fusion: C99, no heap, no OS"},
        [LINK] = {"AgileNN", "Link", " condition=\"AgileNN Runtime\"",
                  "Packets as CoAP datagrams, repetitions and answers, without a socket"},
        [DRIVER] = {"AgileNN", "ESP-AT Driver", " condition=\"AgileNN Runtime\"",
                    "UDP through a serial WiFi modem that speaks ESP-AT"},
        [MODEL] = {"AgileNN Model", pack->prefix, " condition=\"AgileNN Link\"",
                   "The model, its sizes, class names and test vector"}};
    agn__text_add(text,
                  "    <component Cclass=\"Machine Learning\" Cgroup=\"%s\" Csub=\"%s\" Cversion=\"%s\"%s>\n",
                  components[which].group, components[which].sub, AGN_VERSION, components[which].condition);
    agn__text_add(text, "      <description>%s</description>\n      <files>\n",
                  components[which].description);
    agn__text_add(text, "        <file category=\"include\" name=\"./\"/>\n");
    for (const char *name = pack->files; *name != '\0'; name += strcspn(name, "\n") + 1) {
        size_t place = place_of(name);
        if (places[place].component == which)
            add_file(text, name, strcspn(name, "\n"), places[place].template);
    }
    agn__text_add(text, "      </files>\n    </component>\n");
}

static void add_condition(struct agn__text *text, const char *id, const char *needs)
{
    agn__text_add(text, "    <condition id=\"%s\">\n", id);
    for (const char *const *sub = (const char *const[]){"Runtime", needs, NULL}; *sub != NULL; sub++)
        agn__text_add(text, "      <require Cclass=\"Machine Learning\" Cgroup=\"AgileNN\" Csub=\"%s\"/>\n",
                      *sub);
    agn__text_add(text, "    </condition>\n");
}

/* The URL is where a pack can be had: this one comes from agilenn alone. Two models of one version are two
 * versions of the pack. */
void agn__cmsis_pack_write(struct agn__text *text, const struct agn__cmsis_pack *pack)
{
    agn__text_add(text,
                  "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                  "<package schemaVersion=\"1.7.7\" xmlns:xs=\"http://www.w3.org/2001/XMLSchema-instance\" "
                  "xs:noNamespaceSchemaLocation=\"PACK.xsd\">\n");
    agn__text_add(text, "  <name>%s_model</name>\n  <vendor>AgileNN</vendor>\n", pack->prefix);
    agn__text_add(text, "  <description>A split model with its device runtime, the link to its server and a "
                        "driver of WiFi modems</description>\n  <url></url>\n");
    agn__text_add(text,
                  "  <releases>\n    <release version=\"%s+%08x\">Model %08x</release>\n  </releases>\n",
                  AGN_VERSION, (unsigned)pack->model_id, (unsigned)pack->model_id);
    agn__text_add(text, "  <requirements>\n    <languages>\n      <language name=\"C\" version=\"99\"/>\n"
                        "    </languages>\n  </requirements>\n");
    agn__text_add(text, "  <taxonomy>\n    <description Cclass=\"Machine Learning\" Cgroup=\"AgileNN\" "
                        "doc=\"README.md\">Split inference on a weak device</description>\n  </taxonomy>\n");
    agn__text_add(text, "  <conditions>\n");
    add_condition(text, "AgileNN Runtime", NULL);
    add_condition(text, "AgileNN Link", "Link");
    agn__text_add(text, "  </conditions>\n  <components>\n");
    for (int i = 0; i < COMPONENTS; i++)
        add_component(text, pack, (enum component)i);
    agn__text_add(text, "  </components>\n</package>\n");
}
