/* Key files: what is taken, what is refused and how, making new ones. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agilenn/base.h"
#include "agilenn/keys.h"

#define KEY      "000102030405060708090a0b0c0d0e0f"
#define BYTES_64 "0123456789012345678901234567890123456789012345678901234567890123"

static char folder[512], path[600];

static int parse(struct agn_keys **keys, const char *text)
{
    return agn_keys_parse(keys, (const uint8_t *)text, strlen(text), "keys");
}

static void good_files_are_read(void **state)
{
    (void)state;
    struct agn_keys *keys;
    static const char text[] = "# a comment\r\n\n  zebra:" KEY "\r\n\tant.1@home:" KEY KEY KEY KEY "  \n"
                               "bee:FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF";
    assert_int_equal(parse(&keys, text), 0);
    assert_int_equal(agn_keys_count(keys), 3);
    assert_string_equal(agn_keys_identity(keys, 0), "ant.1@home");
    assert_string_equal(agn_keys_identity(keys, 2), "zebra");
    size_t bytes;
    const uint8_t *key = agn_keys_find(keys, "zebra", 5, &bytes);
    assert_non_null(key);
    assert_int_equal(bytes, 16);
    for (size_t i = 0; i < bytes; i++)
        assert_int_equal(key[i], i);
    key = agn_keys_find(keys, "ant.1@home", 10, &bytes);
    assert_non_null(key);
    assert_int_equal(bytes, 64);
    assert_int_equal(key[63], 15);
    key = agn_keys_find(keys, "bee", 3, &bytes);
    assert_non_null(key);
    assert_int_equal(key[0], 255);

    static const uint8_t odd[80] = {'b', 'e', 'e', 0, 'x'};
    assert_null(agn_keys_find(keys, "be", 2, &bytes));
    assert_null(agn_keys_find(keys, "beee", 4, &bytes));
    assert_null(agn_keys_find(keys, "", 0, &bytes));
    assert_null(agn_keys_find(keys, odd, 5, &bytes));
    assert_null(agn_keys_find(keys, odd, sizeof odd, &bytes));
    agn_keys_free(keys);
}

/* Each is found by its bytes, and shown in the shortest way that is read back as the same. */
static void identities_are_what_devices_use(void **state)
{
    (void)state;
    static const struct {
        const char *line, *identity, *shown;
    } cases[] = {
        {"urn:imei:490154203237518", "urn:imei:490154203237518", NULL},
        {"cam 7", "cam 7", NULL},
        {"kamera-\xc3\xa4", "kamera-\xc3\xa4", NULL},
        {"gate \"north\"", "gate \"north\"", NULL},
        {"0x61", "0x61", NULL},
        {":", ":", NULL},
        {"\"#7: \\\"yard\\\" \\\\ \"", "#7: \"yard\" \\ ", "\"#7: \\\"yard\\\" \\\\ \""},
        {"\"hex:zz\"", "hex:zz", NULL},
        {"\"plain\"", "plain", "plain"},
        {"hex:00ff", NULL, NULL},
        {"hex:0aff", "\n\xff", NULL},
        {"hex:6162", "ab", "ab"},
        {BYTES_64 BYTES_64, BYTES_64 BYTES_64, NULL},
    };
    for (size_t i = 0; i < AGN_COUNT_OF(cases); i++) {
        char text[400], shown[AGN_KEY_IDENTITY_TEXT], again[AGN_KEY_IDENTITY_MAX + 1];
        const char *identity = cases[i].identity;
        struct agn_keys *keys;
        size_t bytes;
        snprintf(text, sizeof text, "  %s:%s\r\n", cases[i].line, KEY);
        if (!identity) {
            assert_int_equal(parse(&keys, text), AGN_ERR_FORMAT);
            continue;
        }
        assert_int_equal(parse(&keys, text), 0);
        assert_string_equal(agn_keys_identity(keys, 0), identity);
        assert_non_null(agn_keys_find(keys, identity, strlen(identity), &bytes));
        assert_int_equal(bytes, 16);
        agn_keys_show_identity(shown, identity);
        assert_string_equal(shown, cases[i].shown ? cases[i].shown : cases[i].line);
        assert_int_equal(agn_keys_read_identity(again, shown), 0);
        assert_string_equal(again, identity);
        agn_keys_free(keys);
    }
}

/* The longest of all, in the way of writing that takes most. */
static void the_longest_identities_fit(void **state)
{
    (void)state;
    char identity[AGN_KEY_IDENTITY_MAX + 1], shown[AGN_KEY_IDENTITY_TEXT], again[AGN_KEY_IDENTITY_MAX + 1];
    for (int i = 0; i < 2; i++) {
        memset(identity, i ? '"' : 0xff, AGN_KEY_IDENTITY_MAX);
        identity[AGN_KEY_IDENTITY_MAX] = 0;
        agn_keys_show_identity(shown, identity);
        assert_int_equal(agn_keys_read_identity(again, shown), 0);
        assert_string_equal(again, identity);
    }
    assert_int_equal(agn_keys_read_identity(again, BYTES_64 BYTES_64 "x"), AGN_ERR_FORMAT);
    assert_string_equal(again, identity); /* untouched */
}

/* Each with its line, none with anything that could be a key. */
static void bad_lines_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "holds no key"},
        {"# nothing\n\n", "holds no key"},
        {"a:" KEY "\nnocolon\n", "line 2: no ':'"},
        {KEY "\n", "line 1: no ':'"},
        {":" KEY "\n", "line 1: the identity is empty"},
        {"a:00\n", "line 1: a key of the wrong length"},
        {"a:" KEY "0\n", "line 1: a key of the wrong length"},
        {"a:" KEY KEY KEY KEY "00\n", "line 1: a key of the wrong length"},
        {"a:" KEY "zz\n", "line 1: a character in the key"},
        {"a: " KEY "\n", "line 1: a "},
        {"a\tb:" KEY "\n", "line 1: a character that no identity may have"},
        {"caf\xc3:" KEY "\n", "line 1: a character that no identity may have"},
        {"a :" KEY "\n", "line 1: an identity with a blank at its end"},
        {"\"a:" KEY "\n", "line 1: a quoted identity that does not end"},
        {"\"a\"b:" KEY "\n", "line 1: a quoted identity that does not end"},
        {"\"a\\:" KEY "\n", "line 1: a quoted identity"},
        {"\"a\\n\":" KEY "\n", "line 1: a backslash"},
        {"\"\":" KEY "\n", "line 1: the identity is empty"},
        {"hex::" KEY "\n", "line 1: the identity is empty"},
        {"hex:1:" KEY "\n", "line 1: hex: must be followed by"},
        {"hex:xy:" KEY "\n", "line 1: hex: must be followed by"},
        {"hex:6100:" KEY "\n", "line 1: an identity with a zero byte"},
        {"urn:a:b\n", "line 1: a key of the wrong length"},
        {BYTES_64 BYTES_64 "X:" KEY "\n", "line 1: an identity of more than 128 bytes"},
        {"\"" BYTES_64 BYTES_64 "X\":" KEY "\n", "line 1: an identity of more than 128 bytes"},
        {"a:" KEY "\nhex:61:" KEY KEY "\n", "'a' stands there twice"},
        {"hex:ff:" KEY "\nhex:FF:" KEY KEY "\n", "'hex:ff' stands there twice"},
        {"a:" KEY "\nb:" KEY "\na:" KEY KEY "\n", "'a' stands there twice"},
    };
    for (size_t i = 0; i < AGN_COUNT_OF(cases); i++) {
        struct agn_keys *keys = NULL;
        assert_int_equal(parse(&keys, cases[i].text), AGN_ERR_FORMAT);
        assert_null(keys);
        if (!strstr(agn_error_message(), cases[i].says))
            fail_msg("case %zu: '%s' does not say '%s'", i, agn_error_message(), cases[i].says);
        assert_null(strstr(agn_error_message(), "0102030405"));
    }
}

static void random_text_is_survived(void **state)
{
    (void)state;
    static const char alphabet[] = "ab:0fF#\n\r \t\0:\xff";
    struct agn_rng rng;
    agn_rng_seed(&rng, 3);
    int good = 0;
    for (int i = 0; i < 20000; i++) {
        uint8_t text[120];
        size_t len = agn_rng_below(&rng, sizeof text);
        for (size_t k = 0; k < len; k++)
            text[k] = (uint8_t)alphabet[agn_rng_below(&rng, sizeof alphabet - 1)];
        if (i % 2 == 0 && len > 40) { /* a good line with damage around it */
            memcpy(text + 2, "b:" KEY "\n", 35);
            text[1] = '\n';
        }
        struct agn_keys *keys;
        if (agn_keys_parse(&keys, text, len, "keys") == 0) {
            good++;
            agn_keys_free(keys);
        }
    }
    assert_true(good > 10);
}

static void write_file(const char *text, mode_t mode)
{
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void rights_and_owner_are_checked(void **state)
{
    (void)state;
    struct agn_keys *keys;
    static const mode_t refused[] = {0644, 0640, 0660, 0604, 0700, 0000, 04600};
    for (size_t i = 0; i < AGN_COUNT_OF(refused); i++) {
        write_file("a:" KEY "\n", refused[i]);
        int status = agn_keys_load(&keys, path);
        assert_true(status == AGN_ERR_ARG || (status == AGN_ERR_IO && geteuid() != 0));
        if (status != AGN_ERR_ARG)
            continue;
        assert_non_null(strstr(agn_error_message(), "expected 0600 or 0400; run `chmod 600"));
        assert_int_equal(strstr(agn_error_message(), "others may see") != NULL, (refused[i] & 077) != 0);
    }
    static const mode_t taken[] = {0600, 0400};
    for (size_t i = 0; i < AGN_COUNT_OF(taken); i++) {
        write_file("a:" KEY "\n", taken[i]);
        assert_int_equal(agn_keys_load(&keys, path), 0);
        agn_keys_free(keys);
    }
    if (geteuid() == 0) {
        assert_int_equal(chown(path, 12345, (gid_t)-1), 0);
        assert_int_equal(agn_keys_load(&keys, path), AGN_ERR_ARG);
        assert_non_null(strstr(agn_error_message(), "belongs to user 12345"));
    }
    assert_int_equal(agn_keys_load(&keys, folder), AGN_ERR_ARG);
    unlink(path);
    assert_int_equal(agn_keys_load(&keys, path), AGN_ERR_NOT_FOUND);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(agn_keys_load(&keys, path), AGN_ERR_ARG); /* and does not hang */
    unlink(path);
}

static void new_keys_are_private_and_differ(void **state)
{
    (void)state;
    struct agn_keys *keys;
    unlink(path);
    mode_t old = umask(0);
    assert_int_equal(agn_keys_generate(path, "cam", 300), 0);
    umask(old);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    assert_int_equal(agn_keys_load(&keys, path), 0);
    assert_int_equal(agn_keys_count(keys), 300);
    assert_string_equal(agn_keys_identity(keys, 0), "cam-000001");
    const uint8_t *before = NULL;
    for (int i = 0; i < 300; i++) {
        size_t bytes;
        const char *identity = agn_keys_identity(keys, i);
        const uint8_t *key = agn_keys_find(keys, identity, strlen(identity), &bytes);
        assert_int_equal(bytes, 32);
        assert_true(!before || memcmp(before, key, bytes) != 0);
        before = key;
    }
    agn_keys_free(keys);

    assert_int_equal(agn_keys_generate(path, "cam", 1), AGN_ERR_BUSY); /* keys in use stay */
    struct stat after;
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(after.st_size, info.st_size);
    unlink(path);
    assert_int_equal(agn_keys_generate(path, "a b", 1), AGN_ERR_ARG);
    assert_int_equal(agn_keys_generate(path, "hex:a", 1), AGN_ERR_ARG);
    assert_int_equal(agn_keys_generate(path, "", 1), AGN_ERR_ARG);
    assert_int_equal(agn_keys_generate(path, "a", 0), AGN_ERR_ARG);
    assert_int_equal(agn_keys_generate("/nowhere/keys", "a", 1), AGN_ERR_IO);
    assert_false(agn_file_exists(path));
}

static int make_folder(void **state)
{
    (void)state;
    const char *base = getenv("AGN_TEST_TMP");
    snprintf(folder, sizeof folder, "%s/keys.XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/devices.psk", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_files_are_read),
        cmocka_unit_test(identities_are_what_devices_use),
        cmocka_unit_test(the_longest_identities_fit),
        cmocka_unit_test(bad_lines_are_named),
        cmocka_unit_test(random_text_is_survived),
        cmocka_unit_test(rights_and_owner_are_checked),
        cmocka_unit_test(new_keys_are_private_and_differ),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
