/* The folder of a run under way: OUT.d/ID. */
#ifndef AGN_SWEEP_FOLDER_H
#define AGN_SWEEP_FOLDER_H

int agn__folder_of(const char *out, const char *id, char folder[1024]);
/* With the files that a run makes; what else lies there keeps it. */
void agn__folder_remove(const char *folder);

#endif
