/* Runs a fuzz target over files and folders given as arguments, without libFuzzer: so that
 * the committed corpus is an ordinary test with any compiler.
 *
 * Exit code 0 if at least one file was run (a crash or a sanitizer ends the program itself). */
#include <dirent.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *path)
{
    FILE *stream = fopen(path, "rb");
    if (!stream) {
        perror(path);
        return -1;
    }
    enum { MAX_BYTES = 1 << 20 };
    uint8_t *buffer = malloc(MAX_BYTES);
    size_t size = buffer ? fread(buffer, 1, MAX_BYTES, stream) : 0;
    int failed = !buffer || ferror(stream);
    fclose(stream);
    /* Memory of the exact size, so that AddressSanitizer sees a byte read too many. */
    uint8_t *exact = failed ? NULL : malloc(size ? size : 1);
    if (exact) {
        for (size_t i = 0; i < size; i++)
            exact[i] = buffer[i];
        LLVMFuzzerTestOneInput(exact, size);
    }
    free(buffer);
    failed = !exact;
    free(exact);
    return failed ? -1 : 1;
}

static int run_folder(const char *path)
{
    DIR *folder = opendir(path);
    if (!folder) {
        perror(path);
        return -1;
    }
    int count = 0;
    for (struct dirent *entry; count >= 0 && (entry = readdir(folder)) != NULL;) {
        char name[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        count = run_file(name) < 0 ? -1 : count + 1;
    }
    closedir(folder);
    return count;
}

int main(int argc, char **argv)
{
    int total = 0;
    for (int i = 1; i < argc; i++) {
        struct stat about;
        if (stat(argv[i], &about) != 0) {
            perror(argv[i]);
            return 1;
        }
        int count = S_ISDIR(about.st_mode) ? run_folder(argv[i]) : run_file(argv[i]);
        if (count < 0)
            return 1;
        total += count;
    }
    printf("%d inputs\n", total);
    return total > 0 ? 0 : 1;
}
