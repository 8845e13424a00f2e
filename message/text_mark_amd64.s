#include "textflag.h"

DATA dots<>+0(SB)/8, $0x2e2e2e2e2e2e2e2e
DATA dots<>+8(SB)/8, $0x2e2e2e2e2e2e2e2e
GLOBL dots<>(SB), RODATA|NOPTR, $16

DATA colons<>+0(SB)/8, $0x3a3a3a3a3a3a3a3a
DATA colons<>+8(SB)/8, $0x3a3a3a3a3a3a3a3a
GLOBL colons<>(SB), RODATA|NOPTR, $16

DATA squares<>+0(SB)/8, $0x5b5b5b5b5b5b5b5b
DATA squares<>+8(SB)/8, $0x5b5b5b5b5b5b5b5b
GLOBL squares<>(SB), RODATA|NOPTR, $16

DATA spaces<>+0(SB)/8, $0x2020202020202020
DATA spaces<>+8(SB)/8, $0x2020202020202020
GLOBL spaces<>(SB), RODATA|NOPTR, $16

// MARK sets R to the marks of the 16 bytes at CX from SI, shifted by as much, and S
// to those that are a space or less.
#define MARK(R, S) \
	MOVOU    (SI)(CX*1), X0 \
	MOVO     X0, X1         \
	MOVO     X0, X2         \
	MOVO     X0, X3         \
	PMINUB   X4, X3         \
	PCMPEQB  X0, X3         \
	PCMPEQB  X5, X0         \
	PCMPEQB  X6, X1         \
	PCMPEQB  X7, X2         \
	POR      X1, X0         \
	POR      X2, X0         \
	PMOVMSKB X0, R          \
	PMOVMSKB X3, S          \
	SHLQ     CX, R          \
	SHLQ     CX, S

// func marks(s string) uint64
//
// SSE2 only, which every amd64 has. Four loads at 0, 16, 32 and len-16, none
// behind the last: where they overlap they say the same.
TEXT ·marks(SB), NOSPLIT, $0-24
	MOVQ    s_base+0(FP), SI
	MOVQ    s_len+8(FP), DI
	SUBQ    $16, DI
	MOVOU   spaces<>(SB), X4
	MOVOU   dots<>(SB), X5
	MOVOU   colons<>(SB), X6
	MOVOU   squares<>(SB), X7
	XORL    CX, CX
	MARK(AX, R10)
	MOVL    $16, CX
	CMPQ    CX, DI
	CMOVQGT DI, CX
	MARK(BX, R11)
	MOVL    $32, CX
	CMPQ    CX, DI
	CMOVQGT DI, CX
	MARK(DX, R12)
	MOVQ    DI, CX
	MARK(R8, R13)
	ORQ     BX, AX
	ORQ     DX, AX
	ORQ     R8, AX
	ORQ     R11, R10
	ORQ     R12, R10
	ORQ     R13, R10
	SHRQ    $1, R10
	NOTQ    R10
	ANDQ    R10, AX
	MOVQ    AX, ret+16(FP)
	RET
