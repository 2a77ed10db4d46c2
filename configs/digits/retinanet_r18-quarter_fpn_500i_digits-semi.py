# the student of the digits pair, trained on a tenth of its pictures with labels and on the rest with pseudo labels
_base_ = ['../_base_/retinanet_r18-quarter_fpn_digits.py', '../_base_/digits_semi.py',
          '../_base_/schedule_digits_500i.py']
