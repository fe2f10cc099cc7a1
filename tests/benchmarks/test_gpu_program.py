"""Kernels and bytes are counted from HLO by hand."""

import sys

from tests.paths import ROOT

sys.path.append(str(ROOT / "benchmarks"))  # as of a script there

from gpu_program import kernels, size

HLO = """HloModule jit_step, is_scheduled=true

%fused (p: bf16[4]) -> bf16[4] {
  %p = bf16[4]{0} parameter(0)
  ROOT %n = bf16[4]{0} negate(%p)
}

%body (q: (s32[], f32[8])) -> (s32[], f32[8]) {
  %q = (s32[], f32[8]{0}) parameter(0)
  %x = f32[8]{0} get-tuple-element(%q), index=1
  ROOT %copy.3 = f32[8]{0} copy(%x)
}

ENTRY %main (a: bf16[4], b: f32[8]) -> bf16[4] {
  %a = bf16[4]{0} parameter(0)
  %b = f32[8]{0} parameter(1)
  %t = (s32[], f32[8]{0}) tuple(%b)
  %while.1 = (s32[], /*index=1*/f32[8]{0}) while(%t), condition=%cond, body=%body
  %conv.7 = (bf16[2,2]{1,0}, u8[16]{0}) custom-call(%a, %a), custom_call_target="__cudnn$conv"
  ROOT %loop_fusion.12 = bf16[4]{0} fusion(%a), kind=kLoop, calls=%fused, metadata={op_name="neg"}
}
"""


def test_each_kernel_has_the_bytes_of_its_operands_and_results():
    copy, conv, fusion = kernels(HLO)
    assert (copy.name, copy.kind, copy.bytes) == ("copy.3", "copy", 64)  # of a loop one turn
    assert (conv.bytes, conv.source) == (8 + 16 + 8 + 8, "__cudnn$conv")
    assert [one.looped for one in (copy, conv, fusion)] == [True, False, False]
    assert (fusion.kind, fusion.bytes, fusion.source) == ("loop_fusion", 16, "neg")


def test_bytes_of_shapes():
    assert size("(bf16[2,3]{1,0}, f32[], pred[4], f8e4m3fn[3], u8[0]{0}, s64[2])") == 39
