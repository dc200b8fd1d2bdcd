/* The list of systems, one row each. The first one is what a preset means that names none. */
#include "systems/parts.h"

const struct agn_system *const agn_systems[] = {&agn__system_agilenn,    &agn__system_edge_only,
                                                &agn__system_local_only, &agn__system_spinn,
                                                &agn__system_deepcod,    NULL};
