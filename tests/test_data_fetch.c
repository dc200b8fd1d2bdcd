/* Downloads from a server that stalls, cuts, lies and forgets; archives that would like to leave their
 * folder. */
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <archive.h>
#include <archive_entry.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agilenn/fetch.h"
#include "cli/cli.h"
#include "http_server.h"
#include "sets/checksum.h"
#include "sets/fetch_set.h"
#include "sets/unpack.h"
#include "temp_folder.h"

enum { SIZE = 300000 };

static uint8_t content[SIZE];
static struct agn__file_sums content_sums;
static struct agn_fetch_config config = {.stall_s = 1, .retries = 2, .retry_wait_ms = 1};

static int set_up(void **state)
{
    if (temp_folder_setup(state) != 0)
        return -1;
    for (size_t i = 0; i < SIZE; i++)
        content[i] = (uint8_t)(i * 2654435761u >> 13);
    return agn__sum_file(temp_file("served/file.bin", content, SIZE), &content_sums);
}

/* Fetches served/file.bin to got.bin; expected NULL = no sum is known. */
static int fetch(const struct http_server *server, enum agn__sum sum, const char *expected)
{
    char url[128];
    (void)snprintf(url, sizeof url, "%s/file.bin", http_server_url(server));
    const struct agn__fetch_file file = {url, temp_path("got.bin"), sum, expected};
    return agn__fetch_one(&config, &file);
}

static void assert_got(void)
{
    uint8_t *data = NULL;
    size_t size = 0;
    assert_int_equal(agn_file_read(temp_path("got.bin"), 2 * SIZE, &data, &size), AGN_OK);
    assert_int_equal(size, SIZE);
    assert_memory_equal(data, content, SIZE);
    agn_free(data);
    assert_false(agn_file_exists(temp_path("got.bin.part")));
}

static void assert_sentence(const char *part)
{
    if (!strstr(agn_error_message(), part))
        fail_msg("'%s' is not in '%s'", part, agn_error_message());
}

static void sums_are_those_of_the_standards(void **state)
{
    (void)state;
    struct agn__file_sums sums;
    assert_int_equal(agn__sum_file(temp_file("abc", "abc", 3), &sums), AGN_OK);
    assert_string_equal(sums.md5, "900150983cd24fb0d6963f7d28e17f72");
    assert_string_equal(sums.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void whole_file(void **state)
{
    (void)state;
    struct http_server *server = http_server_start(temp_path("served"), (struct http_faults){0});
    assert_int_equal(fetch(server, AGN__SUM_SHA256, content_sums.sha256), AGN_OK);
    assert_got();
    assert_int_equal(fetch(server, AGN__SUM_SHA256, content_sums.sha256), AGN_OK);
    assert_int_equal(http_server_requests(server), 1); /* what is there is not fetched again */
    char remembered[AGN__SUM_TEXT];
    assert_int_equal(agn__sum_recall(temp_path("got.bin"), remembered), AGN_OK);
    assert_string_equal(remembered, content_sums.sha256);
    http_server_stop(server);
}

static void cut_connections_are_resumed(void **state)
{
    (void)state;
    struct http_server *server = http_server_start(
        temp_path("served"), (struct http_faults){.faulty_requests = 3, .cut_after = 70000});
    assert_int_equal(fetch(server, AGN__SUM_MD5, content_sums.md5), AGN_OK);
    assert_got();
    assert_int_equal(http_server_requests(server), 4);
    assert_int_equal(http_server_ranges(server), 3);
    assert_int_equal(http_server_bytes(server), SIZE); /* nothing twice */
    http_server_stop(server);
}

static void stalled_connection_is_resumed(void **state)
{
    (void)state;
    struct http_server *server = http_server_start(
        temp_path("served"), (struct http_faults){.faulty_requests = 1, .stall_after = 1000});
    assert_int_equal(fetch(server, AGN__SUM_MD5, content_sums.md5), AGN_OK);
    assert_got();
    assert_int_equal(http_server_ranges(server), 1);
    http_server_stop(server);
}

static void stall_without_end_keeps_the_part(void **state)
{
    (void)state;
    struct http_server *server = http_server_start(
        temp_path("served"), (struct http_faults){.faulty_requests = 99, .stall_after = 1000});
    struct agn_fetch_config saved = config;
    config.retries = 0;
    int status = fetch(server, AGN__SUM_MD5, content_sums.md5);
    config = saved;
    assert_int_equal(status, AGN_ERR_TIMEOUT);
    assert_sentence("file.bin: no answer in time after 1000 bytes");
    assert_true(agn_file_exists(temp_path("got.bin.part")));
    assert_false(agn_file_exists(temp_path("got.bin")));
    http_server_stop(server);
}

static void server_without_ranges_starts_over(void **state)
{
    (void)state;
    struct http_server *server = http_server_start(
        temp_path("served"),
        (struct http_faults){.faulty_requests = 1, .cut_after = 70000, .ignore_ranges = true});
    assert_int_equal(fetch(server, AGN__SUM_MD5, content_sums.md5), AGN_OK);
    assert_got();
    assert_int_equal(http_server_requests(server), 3);
    http_server_stop(server);
}

static void without_ranges_and_always_cut_ends(void **state)
{
    (void)state;
    struct http_server *server = http_server_start(
        temp_path("served"),
        (struct http_faults){.faulty_requests = 99, .cut_after = 70000, .ignore_ranges = true});
    assert_int_equal(fetch(server, AGN__SUM_MD5, content_sums.md5), AGN_ERR_IO);
    assert_true(http_server_requests(server) < 20);
    assert_false(agn_file_exists(temp_path("got.bin")));
    http_server_stop(server);
}

static void corruption_is_found_and_deleted(void **state)
{
    (void)state;
    struct http_server *server =
        http_server_start(temp_path("served"), (struct http_faults){.faulty_requests = 1, .corrupt = true});
    assert_int_equal(fetch(server, AGN__SUM_MD5, content_sums.md5), AGN_ERR_FORMAT);
    assert_sentence("MD5 is ");
    assert_sentence(content_sums.md5);
    assert_false(agn_file_exists(temp_path("got.bin")));
    assert_false(agn_file_exists(temp_path("got.bin.part")));
    assert_int_equal(fetch(server, AGN__SUM_MD5, content_sums.md5), AGN_OK); /* sound this time */
    assert_got();
    http_server_stop(server);
}

static void part_of_another_file_starts_over(void **state)
{
    (void)state;
    struct http_server *server = http_server_start(temp_path("served"), (struct http_faults){0});
    (void)temp_file("got.bin.part", "something else", 14);
    assert_int_equal(fetch(server, AGN__SUM_MD5, content_sums.md5), AGN_OK);
    assert_got();
    assert_int_equal(http_server_requests(server), 2);
    http_server_stop(server);
}

static void whole_part_needs_no_server(void **state)
{
    (void)state;
    struct http_server *server = http_server_start(temp_path("served"), (struct http_faults){0});
    (void)temp_file("got.bin.part", content, SIZE);
    assert_int_equal(fetch(server, AGN__SUM_SHA256, content_sums.sha256), AGN_OK);
    assert_got();
    assert_int_equal(http_server_requests(server), 0);
    (void)temp_file("got.bin", "", 0);
    http_server_stop(server);
}

static void part_longer_than_the_file(void **state)
{
    (void)state;
    struct http_server *server = http_server_start(temp_path("served"), (struct http_faults){0});
    uint8_t *longer = agn_alloc(SIZE + 1, 1);
    assert_non_null(longer);
    memcpy(longer, content, SIZE);
    (void)temp_file("got.bin.part", longer, SIZE + 1);
    agn_free(longer);
    assert_int_equal(fetch(server, AGN__SUM_SHA256, content_sums.sha256), AGN_OK);
    assert_got();
    http_server_stop(server);
}

static void unknown_sum_is_remembered(void **state)
{
    (void)state;
    struct http_server *server = http_server_start(temp_path("served"), (struct http_faults){0});
    assert_int_equal(fetch(server, AGN__SUM_NONE, NULL), AGN_OK);
    assert_got();
    content[5] ^= 1; /* the file on the disk changes */
    (void)temp_file("got.bin", content, SIZE);
    content[5] ^= 1;
    assert_int_equal(fetch(server, AGN__SUM_NONE, NULL), AGN_ERR_FORMAT);
    assert_sentence("as at the first download");
    http_server_stop(server);
}

static void servers_in_trouble(void **state)
{
    (void)state;
    struct http_server *server =
        http_server_start(temp_path("served"), (struct http_faults){.faulty_requests = 2, .status = 503});
    assert_int_equal(fetch(server, AGN__SUM_MD5, content_sums.md5), AGN_OK);
    assert_int_equal(http_server_requests(server), 3);
    http_server_stop(server);

    assert_int_equal(remove(temp_path("got.bin")), 0);
    server =
        http_server_start(temp_path("served"), (struct http_faults){.faulty_requests = 99, .status = 503});
    assert_int_equal(fetch(server, AGN__SUM_MD5, content_sums.md5), AGN_ERR_IO);
    assert_int_equal(http_server_requests(server), 3); /* 1 + retries */
    http_server_stop(server);

    server = http_server_start(temp_path("nowhere"), (struct http_faults){0});
    assert_int_equal(fetch(server, AGN__SUM_MD5, content_sums.md5), AGN_ERR_NOT_FOUND);
    assert_sentence("HTTP 404");
    assert_int_equal(http_server_requests(server), 1);
    http_server_stop(server);
}

static void interruption_keeps_the_part(void **state)
{
    (void)state;
    struct http_server *server = http_server_start(temp_path("served"), (struct http_faults){0});
    (void)temp_file("got.bin.part", content, 1000);
    agn_interrupt_request();
    int status = fetch(server, AGN__SUM_NONE, NULL);
    agn_interrupt_clear();
    assert_int_equal(status, AGN_ERR_INTERRUPTED);
    assert_int_equal(fetch(server, AGN__SUM_MD5, content_sums.md5), AGN_OK);
    assert_got();
    assert_true(http_server_ranges(server) >= 1);
    http_server_stop(server);
}

/* ---- archives ---- */

struct entry {
    const char *name, *text, *link; /* text NULL: a folder, or a link */
    bool hard;
};

static const char *make_archive(const char *name, const struct entry *entries, int count)
{
    const char *path = temp_file(name, "", 0);
    struct archive *archive = archive_write_new();
    if (strstr(name, ".zip")) {
        assert_int_equal(archive_write_set_format_zip(archive), ARCHIVE_OK);
    } else {
        assert_int_equal(archive_write_add_filter_gzip(archive), ARCHIVE_OK);
        assert_int_equal(archive_write_set_format_pax_restricted(archive), ARCHIVE_OK);
    }
    assert_int_equal(archive_write_open_filename(archive, path), ARCHIVE_OK);
    for (int i = 0; i < count; i++) {
        struct archive_entry *entry = archive_entry_new();
        archive_entry_set_pathname(entry, entries[i].name);
        archive_entry_set_perm(entry, 0755);
        archive_entry_set_filetype(entry, entries[i].text || entries[i].hard ? AE_IFREG
                                          : entries[i].link                  ? AE_IFLNK
                                                                             : AE_IFDIR);
        if (entries[i].link && entries[i].hard)
            archive_entry_set_hardlink(entry, entries[i].link);
        else if (entries[i].link)
            archive_entry_set_symlink(entry, entries[i].link);
        archive_entry_set_size(entry, entries[i].text ? (la_int64_t)strlen(entries[i].text) : 0);
        assert_int_equal(archive_write_header(archive, entry), ARCHIVE_OK);
        if (entries[i].text)
            assert_true(archive_write_data(archive, entries[i].text, strlen(entries[i].text)) >= 0);
        archive_entry_free(entry);
    }
    assert_int_equal(archive_write_free(archive), ARCHIVE_OK);
    return path;
}

static const struct entry good[] = {
    {"top/", NULL, NULL, false}, {"top/a/b.txt", "hello", NULL, false}, {"top/c.txt", "there", NULL, false}};

static void archives_are_unpacked(void **state)
{
    (void)state;
    static const char *const names[] = {"served/set.tar.gz", "served/set.zip"};
    for (int i = 0; i < 2; i++) {
        char folder[32];
        (void)snprintf(folder, sizeof folder, "out%d", i);
        assert_int_equal(agn_make_dirs(temp_path("%s", folder)), AGN_OK);
        assert_int_equal(agn__unpack(make_archive(names[i], good, 3), temp_path("%s", folder), "top"),
                         AGN_OK);
        uint8_t *data = NULL;
        size_t size = 0;
        assert_int_equal(agn_file_read(temp_path("%s/top/a/b.txt", folder), 100, &data, &size), AGN_OK);
        assert_string_equal((char *)data, "hello");
        agn_free(data);
        assert_int_equal(temp_count_entries(temp_path("%s", folder)), 1); /* the scratch folder is gone */
    }
}

static void hostile_archives_leave_nothing(void **state)
{
    (void)state;
    static const struct entry hostile[] = {
        {"../evil.txt", "x", NULL, false},       {"top/../../evil.txt", "x", NULL, false},
        {"/tmp/evil.txt", "x", NULL, false},     {"other/evil.txt", "x", NULL, false},
        {"top//evil.txt", "x", NULL, false},     {"topper/evil.txt", "x", NULL, false},
        {"top/link", NULL, "/etc", false},       {"top/hard", NULL, "top/c.txt", true},
        {"top/./evil.txt", "x", NULL, false},    {"top/c.txt", "twice", NULL, false},
        {"top/c.txt/evil.txt", "x", NULL, false}};
    assert_int_equal(agn_make_dirs(temp_path("out")), AGN_OK);
    for (size_t i = 0; i < AGN_COUNT_OF(hostile); i++) {
        struct entry entries[4] = {good[0], good[1], good[2], hostile[i]};
        int status = agn__unpack(make_archive("served/evil.tar.gz", entries, 4), temp_path("out"), "top");
        if (status != AGN_ERR_FORMAT && status != AGN_ERR_IO)
            fail_msg("entry '%s': status %d", hostile[i].name, status);
        assert_int_equal(temp_count_entries(temp_path("out")), 0);
        assert_false(agn_file_exists(temp_path("evil.txt")));
    }
}

static void damaged_archives_leave_nothing(void **state)
{
    (void)state;
    uint8_t *data = NULL;
    size_t size = 0;
    const char *path = make_archive("served/set.tar.gz", good, 3);
    assert_int_equal(agn_file_read(path, 1 << 20, &data, &size), AGN_OK);
    assert_int_equal(agn_make_dirs(temp_path("out")), AGN_OK);
    for (size_t cut = 1; cut < size - 8; cut += 7) {
        assert_true(agn__unpack(temp_file("cut.tar.gz", data, cut), temp_path("out"), "top") < 0);
        assert_int_equal(temp_count_entries(temp_path("out")), 0);
    }
    agn_free(data);
    static const struct entry nothing[] = {{"top", "a file", NULL, false}};
    assert_int_equal(agn__unpack(make_archive("served/n.tar.gz", nothing, 1), temp_path("out"), "top"),
                     AGN_ERR_FORMAT);
}

/* ---- sets, and the command ---- */

static void set_with_an_archive(void **state)
{
    (void)state;
    struct agn__file_sums sums;
    assert_int_equal(agn__sum_file(make_archive("served/set.tar.gz", good, 3), &sums), AGN_OK);
    struct http_server *server = http_server_start(temp_path("served"), (struct http_faults){0});
    const struct agn__remote_set set = {"own", http_server_url(server), {{"set.tar.gz", sums.md5}}, "top"};
    struct agn_fetch_config own = config;
    char folder[1024], result[1024];
    (void)snprintf(folder, sizeof folder, "%s/a/b", temp_folder());
    own.folder = folder;
    assert_int_equal(agn__fetch_set(&own, &set, result), AGN_OK);
    assert_true(agn_file_exists(temp_path("a/b/top/c.txt")));
    assert_int_equal(agn__fetch_set(&own, &set, result), AGN_OK);
    assert_int_equal(http_server_requests(server), 1);
    assert_string_equal(result, temp_path("a/b/top"));
    http_server_stop(server);
}

static int run_command(const char *name, const char *url)
{
    char words[8][512] = {"data", "fetch", "", "--out", "", "--url", "", "--retries=0"};
    char *argv[9];
    (void)snprintf(words[2], sizeof words[2], "%s", name);
    (void)snprintf(words[4], sizeof words[4], "%s", temp_path("sets"));
    (void)snprintf(words[6], sizeof words[6], "%s", url);
    for (int i = 0; i < 8; i++)
        argv[i] = words[i];
    argv[8] = NULL;
    return agn__cmd_data(8, argv);
}

static void command_refuses_what_is_not_the_set(void **state)
{
    (void)state;
    (void)make_archive("served/cifar-10-binary.tar.gz", good, 3);
    struct http_server *server = http_server_start(temp_path("served"), (struct http_faults){0});
    assert_int_equal(run_command("cifar10", http_server_url(server)), AGN_CLI_FAILURE);
    assert_sentence("expected c32a1d4ab5d03f1284b67883e8d87530");
    assert_int_equal(temp_count_entries(temp_path("sets")), 0);
    assert_int_equal(run_command("svhn", http_server_url(server)), AGN_CLI_FAILURE);
    assert_sentence("train_32x32.mat: the server does not have it");
    assert_int_equal(run_command("fashion-mnist", http_server_url(server)), AGN_CLI_FAILURE);
    assert_sentence("apt-get install dataset-fashion-mnist");
    assert_int_equal(run_command("mnits", http_server_url(server)), AGN_CLI_FAILURE);
    assert_sentence("unknown data set 'mnits'");
    http_server_stop(server);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, temp_folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sums_are_those_of_the_standards),
        TEST(whole_file),
        TEST(cut_connections_are_resumed),
        TEST(stalled_connection_is_resumed),
        TEST(stall_without_end_keeps_the_part),
        TEST(server_without_ranges_starts_over),
        TEST(without_ranges_and_always_cut_ends),
        TEST(corruption_is_found_and_deleted),
        TEST(part_of_another_file_starts_over),
        TEST(whole_part_needs_no_server),
        TEST(part_longer_than_the_file),
        TEST(unknown_sum_is_remembered),
        TEST(servers_in_trouble),
        TEST(interruption_keeps_the_part),
        TEST(archives_are_unpacked),
        TEST(hostile_archives_leave_nothing),
        TEST(damaged_archives_leave_nothing),
        TEST(set_with_an_archive),
        TEST(command_refuses_what_is_not_the_set),
    };
    (void)setenv("no_proxy", "127.0.0.1", 1); /* whatever proxy the machine has */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
