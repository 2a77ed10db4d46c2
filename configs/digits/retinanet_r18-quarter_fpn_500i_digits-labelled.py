# the student of the digits pair, trained on the tenth of its pictures that is labelled
_base_ = ['../_base_/retinanet_r18-quarter_fpn_digits.py', '../_base_/digits_labelled.py',
          '../_base_/schedule_digits_500i.py']
