/* The one header to include: the device runtime and this folder's model. */
#ifndef AGILENN_H
#define AGILENN_H

#include "agn_device.h"
#include "agn_model_data.h"

#endif
