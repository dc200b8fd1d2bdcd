/* `agilenn sweep show`, `csv`, `plot` and `merge`: what becomes of a results file. */
#ifndef AGN_CLI_SWEEP_REPORT_H
#define AGN_CLI_SWEEP_REPORT_H

/* Each takes the arguments from its own name on and returns an exit code. */
int agn__sweep_show(int argc, char **argv);
int agn__sweep_csv(int argc, char **argv);
int agn__sweep_plot(int argc, char **argv);
int agn__sweep_merge(int argc, char **argv);

#endif
