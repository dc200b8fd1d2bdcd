/* What `agilenn bench` measures, a function each; argv[0] is "codec" or "forward". */
#ifndef AGN_CLI_BENCH_H
#define AGN_CLI_BENCH_H

int agn__cmd_bench_codec(int argc, char **argv);
int agn__cmd_bench_forward(int argc, char **argv);

#endif
