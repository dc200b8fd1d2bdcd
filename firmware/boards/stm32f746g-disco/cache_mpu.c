/* Which memory may be touched how, and the caches.
 *
 * What no region covers faults: address 0 and its neighbourhood, memory that is not there, external memory
 * (which a Cortex-M7 may otherwise read ahead of the program). Faults of the MPU become HardFaults, in which
 * the MPU is off: the handler can print. The core's own registers (0xE0000000) are always open. */
#include "parts.h"

/* PM0253 section 4.6.5: the region attribute and size register. */
enum {
    RASR_ENABLE = 1,
    RASR_XN = 1 << 28,        /* no code here */
    RASR_NO_ACCESS = 0 << 24, /* AP */
    RASR_READ_WRITE = 3 << 24,
    RASR_READ_ONLY = 6 << 24,
    RASR_WRITE_BACK = 1 << 19 | 3 << 16,     /* TEX 1, C 1, B 1: normal memory, allocated on writes too */
    RASR_NOT_CACHED = 1 << 19,               /* TEX 1, C 0, B 0: normal memory */
    RASR_DEVICE = 1 << 16,                   /* TEX 0, C 0, B 1: in order, once, not cached */
    RASR_WITHOUT_LAST_3_EIGHTHS = 0xE0 << 8, /* sub-regions */
};

struct region {
    uint32_t base, log2_size, attributes;
};

/* Where two cover an address the later one counts. RM0385 section 2.2.2 has the memory map. */
static const struct region regions[] = {
    {0x08000000U, 20, RASR_READ_ONLY | RASR_WRITE_BACK}, /* flash */
    {0x20000000U, 19,
     RASR_READ_WRITE | RASR_XN | RASR_WRITE_BACK | RASR_WITHOUT_LAST_3_EIGHTHS}, /* 320 KB RAM */
    {0x2004C000U, 14, RASR_READ_WRITE | RASR_XN | RASR_NOT_CACHED},              /* SRAM2: DMA's buffers */
    {0x40000000U, 19, RASR_READ_WRITE | RASR_XN | RASR_DEVICE},                  /* APB1, APB2, AHB1 */
};
enum { REGIONS = sizeof regions / sizeof regions[0], GUARD_LOG2 = 8 };

static void set_region(uint32_t number, uint32_t base, uint32_t log2_size, uint32_t attributes)
{
    SCB->mpu_rnr = number;
    SCB->mpu_rbar = base;
    SCB->mpu_rasr = attributes | (log2_size - 1) << 1 | RASR_ENABLE;
    registers_polled();
}

void memory_protect(uint32_t stack_limit)
{
    memory_barrier();
    SCB->mpu_ctrl = 0;
    for (uint32_t i = 0; i < REGIONS; i++)
        set_region(i, regions[i].base, regions[i].log2_size, regions[i].attributes);
    /* Below the stack: nobody's. */
    set_region(REGIONS, stack_limit - (1U << GUARD_LOG2), GUARD_LOG2, RASR_NO_ACCESS | RASR_XN);
    for (uint32_t i = REGIONS + 1; i < 8; i++) {
        SCB->mpu_rnr = i;
        SCB->mpu_rasr = 0;
    }
    SCB->mpu_ctrl = MPU_CTRL_ENABLE; /* without PRIVDEFENA: no default map for the rest */
    memory_barrier();
}

/* PM0253 section 4.8: a cache holds anything after a reset and is invalidated before it is switched on. */
void caches_enable(void)
{
    if (!(SCB->ccr & SCB_CCR_IC)) {
        CACHE->iciallu = 0;
        memory_barrier();
        SCB->ccr |= SCB_CCR_IC;
        memory_barrier();
    }
    if (SCB->ccr & SCB_CCR_DC)
        return;      /* switched on before: what it holds may be newer than the memory */
    SCB->csselr = 0; /* the first-level data cache */
    memory_barrier();
    uint32_t size = SCB->ccsidr, ways = (size >> 3 & 0x3FFU) + 1, sets = (size >> 13 & 0x7FFFU) + 1;
    unsigned line_shift = (size & 7U) + 4, way_shift = ways > 1 ? (unsigned)__builtin_clz(ways - 1) : 0;
    for (uint32_t way = 0; way < ways; way++)
        for (uint32_t set = 0; set < sets; set++) {
            CACHE->dcisw = way << way_shift | set << line_shift;
            registers_polled();
        }
    memory_barrier();
    SCB->ccr |= SCB_CCR_DC;
    memory_barrier();
}
