"""Stands in for django-smart-selects, of which the original uses one widget in its admin pages."""
from django.db.models.fields.related import ForeignKey
from south.modelsinspector import add_introspection_rules


class ChainedForeignKey(ForeignKey):
    def __init__(self, to, chained_field=None, chained_model_field=None,
                 show_all=False, auto_choose=False, view_name=None, **kwargs):
        ForeignKey.__init__(self, to, **kwargs)


add_introspection_rules([], [r'^smart_selects\.db_fields\.ChainedForeignKey'])
