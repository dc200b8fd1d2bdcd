"""Executes a flash image of the board stm32f746g-disco: an emulated Cortex-M7 (unicorn), and its peripherals as far as
the board uses them, played from the reference manual RM0385. Not played: interrupts, caches, the MPU, time (each look
at a timer takes a tenth of a millisecond).

    play_stm32f746.py image.bin [crystal|pll|over-drive]        what is broken

Prints what the board says on its console. Ends with the program's code, 3 after a reset that the program asked for, 4
after a fault, 5 when it did not end within a minute."""

import struct
import sys
import time

from unicorn import (UC_ARCH_ARM, UC_MODE_MCLASS, UC_MODE_THUMB, UC_PROT_EXEC, UC_PROT_READ, Uc, UcError)
from unicorn.arm_const import UC_ARM_REG_LR, UC_ARM_REG_PC, UC_ARM_REG_SP, UC_CPU_ARM_CORTEX_M7

FLASH, RAM, RAM_BYTES = 0x08000000, 0x20000000, 320 * 1024
PERIPHERALS, CORE = 0x40000000, 0xE0000000
TIM2_CNT, IWDG_KR, PWR_CR1, PWR_CSR1 = 0x40000024, 0x40003000, 0x40007000, 0x40007004
USART1_ISR, USART1_TDR, RCC_CR, RCC_CFGR = 0x4001101C, 0x40011028, 0x40023800, 0x40023808
DMA2, STREAM_IN, STREAM_OUT = 0x40026400, 1, 6
DWT_CYCCNT, AIRCR, CCSIDR = 0xE0001004, 0xE000ED0C, 0xE000ED80
FLAG_SHIFTS = (0, 6, 16, 22)


class Chip:
    def __init__(self, image, broken):
        self.broken = broken
        self.registers = {RCC_CR: 0x83, PWR_CR1: 0xC000, CCSIDR: 1 | 3 << 3 | 31 << 13}
        self.tenths = 0
        self.line = ""
        self.code = None
        self.cpu = Uc(UC_ARCH_ARM, UC_MODE_THUMB | UC_MODE_MCLASS)
        self.cpu.ctl_set_cpu_model(UC_CPU_ARM_CORTEX_M7)
        self.cpu.mem_map(FLASH, 1 << 20, UC_PROT_READ | UC_PROT_EXEC)
        self.cpu.mem_map(RAM, RAM_BYTES)
        self.cpu.mem_write(FLASH, image)
        for base, size in ((PERIPHERALS, 0x80000), (CORE, 0x100000)):
            self.cpu.mmio_map(base, size, self.read, base, self.write, base)

    def read(self, _, offset, __, base):
        address = base + offset
        value = self.registers.get(address, 0)
        if address == RCC_CR:
            value &= ~(1 << 25 | 1 << 17 | 1 << 1)
            value |= (value & 1) << 1
            value |= (value >> 16 & 1) << 17 if self.broken != "crystal" else 0
            value |= (value >> 24 & 1) << 25 if self.broken != "pll" else 0
        elif address == RCC_CFGR:
            value = value & ~0xC | (value & 3) << 2
        elif address == PWR_CSR1:
            value = self.registers[PWR_CR1] & (3 << 16) if self.broken != "over-drive" else 0
        elif address == USART1_ISR:
            value = 1 << 7 | 1 << 6
        elif address in (TIM2_CNT, DWT_CYCCNT):
            self.tenths += 1
            value = (self.tenths // 5 if address == TIM2_CNT else self.tenths * 21600) & 0xFFFFFFFF
        return value

    def write(self, _, offset, __, value, base):
        address = base + offset
        if address == USART1_TDR:
            self.say(chr(value & 0x7F))
            return
        if address == AIRCR:
            self.end(3)
        for which in (0, 4):
            if address == DMA2 + 8 + which:
                self.registers[DMA2 + which] = self.registers.get(DMA2 + which, 0) & ~value
        self.registers[address] = value
        if address == DMA2 + 0x10 + 0x18 * STREAM_OUT and value & 1:  # all sent at once
            self.registers[address] = value & ~1
            flags = DMA2 + 4 * (STREAM_OUT // 4)
            self.registers[flags] = self.registers.get(flags, 0) | 1 << (5 + FLAG_SHIFTS[STREAM_OUT % 4])

    def say(self, character):
        sys.stdout.write(character)
        self.line = "" if character == "\n" else self.line + character
        if self.line.startswith("# exit "):
            self.last = self.line[7:]
        if character == "\n" and hasattr(self, "last"):
            self.end(int(self.last))

    def end(self, code):
        self.code = code
        self.cpu.emu_stop()

    def run(self, seconds):
        stack, at = struct.unpack("<II", self.cpu.mem_read(FLASH, 8))
        self.cpu.reg_write(UC_ARM_REG_SP, stack)
        last = time.monotonic() + seconds
        try:
            while self.code is None and time.monotonic() < last:
                self.cpu.emu_start(at | 1, 0xFFFFFFFE, timeout=500000)
                at = self.cpu.reg_read(UC_ARM_REG_PC)
        except UcError as error:
            print(f"{error}: pc {self.cpu.reg_read(UC_ARM_REG_PC):#x}, lr {self.cpu.reg_read(UC_ARM_REG_LR):#x}")
            return 4
        return 5 if self.code is None else self.code


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as file:
        chip = Chip(file.read(), sys.argv[2] if len(sys.argv) > 2 else "")
    sys.exit(chip.run(60))
