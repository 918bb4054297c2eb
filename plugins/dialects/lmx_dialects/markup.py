"""The tags of the dialects."""

THINK = ("<think>", "</think>")
TOOL_CALL = ("<tool_call>", "</tool_call>")
MINIMAX = ("<minimax:tool_call>", "</minimax:tool_call>")
DSML = ("<｜DSML｜function_calls>", "</｜DSML｜function_calls>")
GEMMA = ("<|tool_call>", "<tool_call|>")
FUNCTION_GEMMA = ("<start_function_call>", "<end_function_call>")
LFM = ("<|tool_call_start|>", "<|tool_call_end|>")
LLAMA4 = ("<|python_start|>", "<|python_end|>")
PYTHON_TAG = "<|python_tag|>"
MISTRAL = ("[TOOL_CALLS]", "[ARGS]", "[CALL_ID]")
KIMI_SECTION = ("<|tool_calls_section_begin|>", "<|tool_calls_section_end|>")
KIMI_CALL = ("<|tool_call_begin|>", "<|tool_call_end|>")
KIMI_ARGUMENTS = "<|tool_call_argument_begin|>"
DEEPSEEK_SECTION = ("<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>")
DEEPSEEK_CALL = ("<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>")
DEEPSEEK_SEPARATOR = "<｜tool▁sep｜>"
GEMMA_THOUGHT = ("<|channel>thought", "<channel|>")
MISTRAL_THINK = ("[THINK]", "[/THINK]")
KIMI_THINK = ("◁think▷", "◁/think▷")
HARMONY_BEGINS = ("<|channel|>", "<|start|>")
HARMONY_MESSAGE = "<|message|>"
HARMONY_ENDS = ("<|end|>", "<|call|>", "<|return|>")
HARMONY = (*HARMONY_BEGINS, HARMONY_MESSAGE, "<|constrain|>", *HARMONY_ENDS)
KIMI = (KIMI_SECTION, KIMI_CALL, (KIMI_ARGUMENTS,), THINK, KIMI_THINK)
DEEPSEEK = (DEEPSEEK_SECTION, DEEPSEEK_CALL, (DEEPSEEK_SEPARATOR,), DSML, THINK)
