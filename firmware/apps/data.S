/* The files that the Makefile names, as they are. */
    .section .rodata.app_data, "a"
    .balign 4
    .global app_model
    .global app_model_end
app_model:
    .incbin APP_MODEL
app_model_end:
    .balign 4
    .global app_frames
    .global app_frames_end
app_frames:
    .incbin APP_FRAMES
app_frames_end:
