/* The one header to include: the device runtime, the link to the server, and this folder's model. */
#include "runtime/agn_link.h"

#include "agn_model_data.h"
