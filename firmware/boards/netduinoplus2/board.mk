CPU = -mcpu=cortex-m4 -mthumb -mfpu=fpv4-sp-d16 -mfloat-abi=hard
# One instruction takes 1024 ns of emulated time: see board.c.
RUN = timeout 300 qemu-system-arm -M netduinoplus2 -nographic -monitor none -serial null -icount shift=10 \
  -semihosting-config enable=on,target=native
RUN_MODEM = timeout 300 qemu-system-arm -M netduinoplus2 -nographic -monitor none -serial unix:$(MODEM),server=on,wait=on \
  -semihosting-config enable=on,target=native
