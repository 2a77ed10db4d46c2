# the student of the digits pair, trained on digits and on the pseudo labels of nine times as many pictures
_base_ = ['../_base_/retinanet_r18-quarter_fpn_digits.py', '../_base_/digits_semi.py',
          '../_base_/schedule_digits_500i.py']
