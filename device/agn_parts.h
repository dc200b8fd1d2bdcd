/* What of the runtime a build has beyond what every model needs: 1 unless the build, or the folder that a
 * model was exported to, says otherwise. A model that needs more is refused. */
#ifndef AGN_PARTS_H
#define AGN_PARTS_H

#ifndef AGN_WITH_GRAPHS
#define AGN_WITH_GRAPHS 1 /* models of version 4: branches, several heads, up to 64 layers (agn_graph*.c) */
#endif
#ifndef AGN_WITH_JPEG
#define AGN_WITH_JPEG 1 /* models that send the image as JPEG (agn_jpeg*.c) */
#endif

/* Versions of the protocol; one at least. A device begins with the lowest, see agn_dev_set_protocol. What is
 * never chosen a linker leaves out by itself (-ffunction-sections -fdata-sections, --gc-sections). */
#ifndef AGN_WITH_PROTOCOL_1
#define AGN_WITH_PROTOCOL_1 1 /* agn_wire.h's packets */
#endif
#ifndef AGN_WITH_PROTOCOL_2
#define AGN_WITH_PROTOCOL_2 1 /* agn_compact.h's */
#endif

#endif
