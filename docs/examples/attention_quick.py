# seconds on a CPU: 4 iterations of a tiny pair on 64 pictures of digits; the teacher is untrained.
_base_ = ['../../configs/quick/hint_quick.py']

custom_imports = dict(imports=['attention_transfer'])
model = dict(methods=dict(_delete_=True, attention=dict(type='kddet.AttentionTransfer', tap='neck')))
