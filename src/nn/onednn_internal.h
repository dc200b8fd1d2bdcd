/* What the files that talk to oneDNN share. */
#ifndef AGN_NN_ONEDNN_INTERNAL_H
#define AGN_NN_ONEDNN_INTERNAL_H

#include <dnnl.h>

/* One CPU engine a process, one stream a thread; made on first use and kept. */
int agn__onednn_engine(dnnl_engine_t *engine, dnnl_stream_t *stream);
/* oneDNN's result as a status, with a message on failure. */
int agn__onednn_status(dnnl_status_t result, const char *what);

#endif
