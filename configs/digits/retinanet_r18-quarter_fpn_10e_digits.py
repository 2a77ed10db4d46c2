# the student of the digits pair
_base_ = ['../_base_/retinanet_r18-quarter_fpn_digits.py', '../_base_/digits.py', '../_base_/schedule_digits.py',
          '../_base_/runtime.py']
