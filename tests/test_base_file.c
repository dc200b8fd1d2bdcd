/* Files of src/base: whole reads, atomic writes, folders. */
#define _XOPEN_SOURCE 700
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agilenn/base.h"
#include "temp_folder.h"

static void assert_content(const char *path, const char *expected)
{
    uint8_t *data;
    size_t size;
    assert_int_equal(agn_file_read(path, 1 << 20, &data, &size), AGN_OK);
    assert_int_equal(size, strlen(expected));
    assert_memory_equal(data, expected, size + 1); /* with the zero byte behind the content */
    agn_free(data);
}

static void write_then_read(void **state)
{
    (void)state;
    const char *path = temp_path("a.txt");
    assert_false(agn_file_exists(path));
    assert_int_equal(agn_file_write(path, "first", 5), AGN_OK);
    assert_true(agn_file_exists(path));
    assert_content(path, "first");
    assert_int_equal(agn_file_write(path, "second one", 10), AGN_OK);
    assert_content(path, "second one");
    assert_int_equal(agn_file_write(path, NULL, 0), AGN_OK);
    assert_content(path, "");
    assert_int_equal(temp_count_entries(temp_folder()), 1);
}

static void read_failures_leave_outputs_alone(void **state)
{
    (void)state;
    uint8_t marker, *data = &marker;
    size_t size = 42;
    assert_int_equal(agn_file_read(temp_path("none"), 100, &data, &size), AGN_ERR_NOT_FOUND);
    assert_non_null(strstr(agn_error_message(), "none: No such file"));
    assert_int_equal(agn_file_read(temp_folder(), 100, &data, &size), AGN_ERR_IO);
    assert_non_null(strstr(agn_error_message(), "folder"));
    const char *path = temp_file("five", "12345", 5);
    assert_int_equal(agn_file_read(path, 4, &data, &size), AGN_ERR_RANGE);
    assert_int_equal(agn_file_read("/dev/zero", 300000, &data, &size), AGN_ERR_RANGE);
    assert_true(data == &marker && size == 42);
    assert_int_equal(agn_file_read(path, 5, &data, &size), AGN_OK);
    agn_free(data);
}

static void *feed_pipe(void *user)
{
    FILE *pipe = fopen(user, "wb");
    for (int i = 0; pipe && i < 200000; i++)
        (void)fputc('a' + i % 26, pipe);
    if (pipe)
        (void)fclose(pipe);
    return NULL;
}

static void read_from_pipe(void **state)
{
    (void)state;
    char path[1024];
    strcpy(path, temp_path("pipe"));
    assert_int_equal(mkfifo(path, 0600), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, feed_pipe, path), 0);
    uint8_t *data;
    size_t size;
    assert_int_equal(agn_file_read(path, 1 << 20, &data, &size), AGN_OK);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(size, 200000);
    for (size_t i = 0; i < size; i++)
        assert_int_equal(data[i], 'a' + i % 26);
    agn_free(data);
    /* And never writes over one. */
    assert_int_equal(agn_file_write(path, "x", 1), AGN_ERR_IO);
    assert_non_null(strstr(agn_error_message(), "not a regular file"));
}

static void unwritable_places_say_so(void **state)
{
    (void)state;
    assert_int_equal(agn_file_write(temp_path("missing/x"), "x", 1), AGN_ERR_IO);
    assert_non_null(strstr(agn_error_message(), "missing/x: No such file or directory; make its folder"));
    assert_int_equal(agn_file_write(temp_folder(), "x", 1), AGN_ERR_IO);
    assert_non_null(strstr(agn_error_message(), "folder"));
    assert_int_equal(agn_file_write("/dev/full", "x", 1), AGN_ERR_IO);
    assert_int_equal(agn_file_write("", "x", 1), AGN_ERR_ARG);
    char longer[1500];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_int_equal(agn_file_write(longer, "x", 1), AGN_ERR_ARG);
    assert_int_equal(agn_make_dirs(longer), AGN_ERR_ARG);
    assert_int_equal(temp_count_entries(temp_folder()), 0);
}

static void failed_write_keeps_old_content(void **state)
{
    (void)state;
    const char *path = temp_file("kept", "old", 3);
    static const uint8_t large[200000];

    /* A full disk, played by a limit on the size of files. */
    struct rlimit before, small = {1000, 1000};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    void (*old_handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int direct = agn_file_write(path, large, sizeof large);
    char direct_message[256];
    (void)snprintf(direct_message, sizeof direct_message, "%.200s", agn_error_message());
    struct agn_file_out out;
    int opened = agn_file_out_open(&out, path);
    int committed = AGN_OK;
    if (opened == AGN_OK) {
        /* Fits the stream's buffer, so that only the flush in commit can fail. */
        (void)fwrite(large, 1, 2000, out.stream);
        committed = agn_file_out_commit(&out);
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, old_handler);

    assert_int_equal(direct, AGN_ERR_IO);
    assert_non_null(strstr(direct_message, "cannot write"));
    assert_int_equal(opened, AGN_OK);
    assert_int_equal(committed, AGN_ERR_IO);
    assert_content(path, "old");
    assert_int_equal(temp_count_entries(temp_folder()), 1);
}

static void stream_commit_and_abort(void **state)
{
    (void)state;
    const char *path = temp_file("stream", "old", 3);
    struct agn_file_out out;
    assert_int_equal(agn_file_out_open(&out, path), AGN_OK);
    (void)fprintf(out.stream, "half of ");
    assert_content(path, "old");
    agn_file_out_abort(&out);
    agn_file_out_abort(&out); /* harmless twice */
    assert_content(path, "old");
    assert_int_equal(temp_count_entries(temp_folder()), 1);

    assert_int_equal(agn_file_out_open(&out, path), AGN_OK);
    (void)fprintf(out.stream, "new %d", 7);
    assert_int_equal(agn_file_out_commit(&out), AGN_OK);
    agn_file_out_abort(&out); /* nothing left to abort */
    assert_content(path, "new 7");
}

static void write_keeps_rights_and_links(void **state)
{
    (void)state;
    const char *path = temp_file("target", "old", 3);
    const char *link_path = temp_path("link");
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(symlink(path, link_path), 0);
    assert_int_equal(agn_file_write(link_path, "new", 3), AGN_OK);
    struct stat info;
    assert_int_equal(lstat(link_path, &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0640);
    assert_content(path, "new");
}

static void folders_with_parents(void **state)
{
    (void)state;
    const char *deep = temp_path("a/b//c/");
    assert_int_equal(agn_make_dirs(deep), AGN_OK);
    assert_int_equal(agn_make_dirs(deep), AGN_OK);
    assert_int_equal(agn_file_write(temp_path("a/b/c/x"), "x", 1), AGN_OK);
    assert_int_equal(agn_make_dirs(temp_path("a/b/c/x/y")), AGN_ERR_IO);
    assert_non_null(strstr(agn_error_message(), "a file has that name"));
    assert_int_equal(agn_make_dirs(""), AGN_ERR_ARG);
    assert_int_equal(agn_make_dirs("/proc/nowhere/x"), AGN_ERR_IO);
}

#define FILE_TEST(function) cmocka_unit_test_setup_teardown(function, temp_folder_setup, temp_folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FILE_TEST(write_then_read),
        FILE_TEST(read_failures_leave_outputs_alone),
        FILE_TEST(read_from_pipe),
        FILE_TEST(unwritable_places_say_so),
        FILE_TEST(failed_write_keeps_old_content),
        FILE_TEST(stream_commit_and_abort),
        FILE_TEST(write_keeps_rights_and_links),
        FILE_TEST(folders_with_parents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
