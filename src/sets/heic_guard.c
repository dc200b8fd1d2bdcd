/* The boxes of a HEIC or AVIF file, before libheif reads them. Where both may understand a file differently
 * it is refused: boxes that come twice, lengths that do not fit, kinds of places that no camera uses. */
#include <string.h>

#include "sets/heic_guard.h"
#include "sets/heic_stream.h"

enum { MAX_ITEMS = 4096 };

#define TYPE(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

enum {
    IS_TILE = 1, /* another picture is made of it */
    IS_AUX = 2,  /* it belongs to another picture, as opacity does */
    HAS_AUX = 4,
};

struct item {
    uint32_t id, type;
    unsigned roles;
};

struct guard {
    const struct agn__image_file *file;
    struct agn__bytes iinf, iloc, iref, iprp, idat;
    struct item *items;
    int count;
};

static int fail_damaged(const struct guard *guard, const char *why)
{
    return agn_fail(AGN_ERR_FORMAT, "%s: damaged HEIC or AVIF: %s", guard->file->name, why);
}

/* A box: u32 size with this header, u32 type; size 1: a u64 follows, size 0: to the end. */
static bool next_box(struct agn__bytes *rest, uint32_t *type, struct agn__bytes *body)
{
    struct agn__bytes header = *rest;
    uint64_t size = agn__bytes_take(&header, 4);
    *type = (uint32_t)agn__bytes_take(&header, 4);
    if (size == 1)
        size = agn__bytes_take(&header, 8);
    else if (size == 0)
        size = rest->left;
    size_t head = rest->left - header.left;
    if (header.ended || size < head || size > rest->left)
        return false;
    *body = (struct agn__bytes){header.at, (size_t)size - head, false};
    rest->at += size;
    rest->left -= (size_t)size;
    return true;
}

static int keep_once(const struct guard *guard, struct agn__bytes *kept, struct agn__bytes body)
{
    if (kept->at)
        return fail_damaged(guard, "a box that must be there once is there twice");
    *kept = body;
    return AGN_OK;
}

/* What follows a box that does not fit is of no use to libheif either: where it is cut off is found out by
 * the places of the pictures' data. */
static int find_boxes(struct guard *guard)
{
    struct agn__bytes rest = {guard->file->data, guard->file->size_bytes, false}, body, meta = {0};
    uint32_t type;
    int status = AGN_OK;
    while (status == AGN_OK && next_box(&rest, &type, &body))
        if (type == TYPE('m', 'e', 't', 'a'))
            status = keep_once(guard, &meta, body);
    if (status == AGN_OK && !meta.at)
        return agn_fail(AGN_ERR_FORMAT, "%s: truncated HEIC or AVIF (%zu bytes), or one without pictures",
                        guard->file->name, guard->file->size_bytes);
    (void)agn__bytes_take(&meta, 4); /* version and flags */
    while (status == AGN_OK && meta.left > 0) {
        if (!next_box(&meta, &type, &body))
            return fail_damaged(guard, "a box does not fit the one around it");
        if (type == TYPE('i', 'i', 'n', 'f'))
            status = keep_once(guard, &guard->iinf, body);
        else if (type == TYPE('i', 'l', 'o', 'c'))
            status = keep_once(guard, &guard->iloc, body);
        else if (type == TYPE('i', 'r', 'e', 'f'))
            status = keep_once(guard, &guard->iref, body);
        else if (type == TYPE('i', 'p', 'r', 'p'))
            status = keep_once(guard, &guard->iprp, body);
        else if (type == TYPE('i', 'd', 'a', 't'))
            status = keep_once(guard, &guard->idat, body);
    }
    return status;
}

static struct item *find_item(const struct guard *guard, uint32_t id)
{
    for (int i = 0; i < guard->count; i++)
        if (guard->items[i].id == id)
            return &guard->items[i];
    return NULL;
}

/* iinf: version, u16 or u32 count, then boxes infe: version, id, u16, type. */
static int list_items(struct guard *guard)
{
    struct agn__bytes rest = guard->iinf, body;
    uint32_t box;
    uint64_t version = agn__bytes_take(&rest, 4) >> 24;
    (void)agn__bytes_take(&rest, version == 0 ? 2 : 4);
    while (rest.left > 0) {
        if (!next_box(&rest, &box, &body))
            return fail_damaged(guard, "its list of items does not fit");
        version = agn__bytes_take(&body, 4) >> 24;
        if (box != TYPE('i', 'n', 'f', 'e') || version < 2)
            continue;
        struct item item = {.id = (uint32_t)agn__bytes_take(&body, version == 2 ? 2 : 4)};
        (void)agn__bytes_take(&body, 2);
        item.type = (uint32_t)agn__bytes_take(&body, 4);
        if (body.ended || find_item(guard, item.id))
            return fail_damaged(guard, "an item of its list is cut off, or listed twice");
        if (guard->count == MAX_ITEMS)
            return agn_fail(AGN_ERR_RANGE, "%s: a HEIC or AVIF of more than %d items", guard->file->name,
                            MAX_ITEMS);
        if (item.type == TYPE('i', 'o', 'v', 'l'))
            return agn_fail(AGN_ERR_FORMAT,
                            "%s: pictures laid over each other, which is not read: convert it to JPEG",
                            guard->file->name);
        guard->items[guard->count++] = item;
    }
    return AGN_OK;
}

static bool is_coded(uint32_t type)
{
    return type == TYPE('h', 'v', 'c', '1') || type == TYPE('a', 'v', '0', '1');
}

/* A grid is made of coded pictures, an `iden` of one of them or of a grid, whose own opacity is none. What is
 * opacity has none. */
static int note_reference(const struct guard *guard, uint32_t kind, struct item *from, struct item *to)
{
    bool is_grid = from && from->type == TYPE('g', 'r', 'i', 'd');
    if (kind == TYPE('d', 'i', 'm', 'g') && from && (is_grid || from->type == TYPE('i', 'd', 'e', 'n'))) {
        if (!to || !(is_coded(to->type) || (!is_grid && to->type == TYPE('g', 'r', 'i', 'd'))))
            return fail_damaged(guard, "a picture is made of what is none");
        to->roles |= IS_TILE;
    } else if (kind == TYPE('a', 'u', 'x', 'l')) {
        if (from)
            from->roles |= IS_AUX;
        if (to)
            to->roles |= HAS_AUX;
    }
    return AGN_OK;
}

/* iref: version, then boxes: id, u16 count, ids. */
static int check_references(struct guard *guard)
{
    struct agn__bytes rest = guard->iref, body;
    uint32_t kind;
    size_t id_bytes = agn__bytes_take(&rest, 4) >> 24 == 0 ? 2 : 4;
    int status = AGN_OK;
    while (status == AGN_OK && rest.left > 0) {
        if (!next_box(&rest, &kind, &body))
            return fail_damaged(guard, "its references do not fit");
        struct item *from = find_item(guard, (uint32_t)agn__bytes_take(&body, id_bytes));
        uint64_t count = agn__bytes_take(&body, 2);
        if (body.ended || body.left != count * id_bytes)
            return fail_damaged(guard, "its references do not fit");
        for (; status == AGN_OK && count > 0; count--) {
            struct item *to = find_item(guard, (uint32_t)agn__bytes_take(&body, id_bytes));
            status = note_reference(guard, kind, from, to);
        }
    }
    for (int i = 0; status == AGN_OK && i < guard->count; i++)
        if ((guard->items[i].roles & HAS_AUX) && (guard->items[i].roles & (IS_AUX | IS_TILE)))
            status = fail_damaged(guard, "a tile or an opacity has an opacity of its own");
    return status;
}

/* u8 version, u8 flags, u8 rows - 1, u8 columns - 1, width, height: u32 if flag 1 is set, else u16. */
static int check_grid(const struct guard *guard, struct agn__bytes data)
{
    size_t bytes = agn__bytes_take(&data, 4) >> 16 & 1 ? 4 : 2;
    uint64_t width = agn__bytes_take(&data, bytes), height = agn__bytes_take(&data, bytes);
    return data.ended ? fail_damaged(guard, "a grid of tiles without a size")
                      : agn__image_check_size(guard->file->name, height, width);
}

static int check_data(const struct guard *guard, uint32_t id, struct agn__bytes data)
{
    const struct item *item = find_item(guard, id);
    if (!item)
        return AGN_OK;
    if (item->type == TYPE('g', 'r', 'i', 'd'))
        return check_grid(guard, data);
    if (item->type == TYPE('h', 'v', 'c', '1'))
        return agn__heic_check_hevc(guard->file, data);
    return item->type == TYPE('a', 'v', '0', '1') ? agn__heic_check_av1(guard->file, data) : AGN_OK;
}

struct places {
    size_t offset_bytes, length_bytes, base_bytes, id_bytes;
    bool has_method;
};

/* The extents of an item, one behind the other: where there are several, in `joined`, which is the caller's
 * to free. */
static int join_extents(const struct guard *guard, const struct places *places, struct agn__bytes *rest,
                        struct agn__bytes *data, uint8_t **joined)
{
    uint64_t method = places->has_method ? agn__bytes_take(rest, 2) & 15 : 0;
    (void)agn__bytes_take(rest, 2);
    uint64_t base = agn__bytes_take(rest, places->base_bytes), count = agn__bytes_take(rest, 2);
    struct agn__bytes whole = {guard->file->data, guard->file->size_bytes, false};
    size_t joined_bytes = 0;
    if (method == 1)
        whole = guard->idat;
    else if (method != 0)
        return fail_damaged(guard, "items lie where they are not read");
    for (uint64_t i = 0; i < count; i++) {
        uint64_t offset = agn__bytes_take(rest, places->offset_bytes);
        uint64_t length = agn__bytes_take(rest, places->length_bytes);
        if (rest->ended)
            return fail_damaged(guard, "the places of its items do not fit");
        if (base > whole.left || offset > whole.left - base || length > whole.left - base - offset ||
            length > guard->file->size_bytes - joined_bytes)
            return agn_fail(AGN_ERR_FORMAT,
                            "%s: truncated HEIC or AVIF (%zu bytes): data lies beyond its end",
                            guard->file->name, guard->file->size_bytes);
        if (count == 1)
            *data = (struct agn__bytes){whole.at + base + offset, (size_t)length, false};
        else if (!*joined && !(*joined = agn_alloc(guard->file->size_bytes, 1)))
            return AGN_ERR_MEMORY;
        else if (length > 0)
            memcpy(*joined + joined_bytes, whole.at + base + offset, (size_t)length);
        joined_bytes += (size_t)length;
    }
    if (count > 1)
        *data = (struct agn__bytes){*joined, joined_bytes, false};
    return rest->ended ? fail_damaged(guard, "the places of its items do not fit") : AGN_OK;
}

/* iloc: version, 4 bits each: bytes of an offset, of a length, of a base, of an index; count; items. */
static int check_places(const struct guard *guard)
{
    struct agn__bytes rest = guard->iloc;
    uint64_t version = agn__bytes_take(&rest, 4) >> 24, widths = agn__bytes_take(&rest, 2);
    const struct places places = {.offset_bytes = widths >> 12,
                                  .length_bytes = widths >> 8 & 15,
                                  .base_bytes = widths >> 4 & 15,
                                  .id_bytes = version < 2 ? 2 : 4,
                                  .has_method = version > 0};
    uint64_t count = agn__bytes_take(&rest, places.id_bytes);
    if (version > 2 || places.offset_bytes & ~12u || places.length_bytes & ~12u || places.base_bytes & ~12u ||
        places.offset_bytes > 8 || places.length_bytes > 8 || places.base_bytes > 8 ||
        (version > 0 && widths & 15))
        return fail_damaged(guard, "places of a form that is not read");
    int status = rest.ended ? fail_damaged(guard, "it has no places of its items") : AGN_OK;
    uint8_t *joined = NULL;
    for (; status == AGN_OK && count > 0; count--) {
        struct agn__bytes data = {0};
        uint32_t id = (uint32_t)agn__bytes_take(&rest, places.id_bytes);
        status = join_extents(guard, &places, &rest, &data, &joined);
        if (status == AGN_OK)
            status = check_data(guard, id, data);
    }
    agn_free(joined);
    return status;
}

/* iprp: boxes, one of which is ipco: boxes with what is known of pictures. */
static int check_properties(const struct guard *guard)
{
    struct agn__bytes rest = guard->iprp, body, ipco = {0};
    uint32_t type;
    int status = AGN_OK;
    while (status == AGN_OK && next_box(&rest, &type, &body))
        if (type == TYPE('i', 'p', 'c', 'o'))
            status = keep_once(guard, &ipco, body);
    while (status == AGN_OK && next_box(&ipco, &type, &body))
        if (type == TYPE('h', 'v', 'c', 'C'))
            status = agn__heic_check_hvcc(guard->file, body);
        else if (type == TYPE('a', 'v', '1', 'C') && body.left > 4)
            status = agn__heic_check_av1(guard->file, (struct agn__bytes){body.at + 4, body.left - 4, false});
    return status;
}

int agn__heic_guard(const struct agn__image_file *file)
{
    struct guard guard = {.file = file, .items = agn_alloc(MAX_ITEMS, sizeof *guard.items)};
    int status = guard.items ? find_boxes(&guard) : AGN_ERR_MEMORY;
    if (status == AGN_OK)
        status = list_items(&guard);
    if (status == AGN_OK)
        status = check_references(&guard);
    if (status == AGN_OK)
        status = check_properties(&guard);
    if (status == AGN_OK)
        status = check_places(&guard);
    agn_free(guard.items);
    return status;
}
