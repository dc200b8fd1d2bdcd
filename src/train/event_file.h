/* TensorBoard event files with scalars. */
#ifndef AGN_TRAIN_EVENT_FILE_H
#define AGN_TRAIN_EVENT_FILE_H

#include "agilenn/base.h"

struct agn__event_file;

/* Makes the folder and a fresh file in it; a resumed training adds a file beside those before. */
int agn__event_file_open(const char *folder, struct agn__event_file **file);
/* tag: "joint/loss" or so, at most 128 bytes; step >= 0. Write errors show at closing. */
void agn__event_file_scalar(struct agn__event_file *file, const char *tag, int64_t step, double value);
void agn__event_file_flush(struct agn__event_file *file);
/* NULL is nothing to close. False, with a line in the log: not everything was written. */
bool agn__event_file_close(struct agn__event_file *file);

#endif
