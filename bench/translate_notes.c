/*
 * translate_notes.c - what a translation gathers: the options that our line is to have, and what the user is told.
 */
#include "bench/translate.h"

void fm_translation_note(struct fm_translation *translation, const char *typed, const char *format, ...)
{
	char *note, sentence[FM_TRANSLATE_NOTE_BYTES];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(sentence, sizeof(sentence), format, arguments);
	va_end(arguments);
	if (translation->note_count == FM_TRANSLATE_NOTES_MAX)
		return;
	note = translation->notes[translation->note_count];
	snprintf(note, FM_TRANSLATE_NOTE_BYTES, "%.*s%s%.*s", FM_TRANSLATE_SHOWN_MAX, typed, *typed ? ": " : "",
		 FM_TRANSLATE_NOTE_BYTES - FM_TRANSLATE_SHOWN_MAX - 3, sentence);
	for (uint32_t i = 0; i < translation->note_count; i++)
		if (strcmp(translation->notes[i], note) == 0)
			return;
	translation->note_count++;
}

void fm_translation_drop_notes(struct fm_translation *translation, const char *typed)
{
	char begins[FM_TRANSLATE_SHOWN_MAX + 3];
	uint32_t kept = 0, read = 0;

	snprintf(begins, sizeof(begins), "%.*s: ", FM_TRANSLATE_SHOWN_MAX, typed);
	for (uint32_t i = 0; i < translation->note_count; i++) {
		bool reading = i < translation->read_notes;

		if (reading && strncmp(translation->notes[i], begins, strlen(begins)) == 0)
			continue;
		if (kept != i)
			memcpy(translation->notes[kept], translation->notes[i], FM_TRANSLATE_NOTE_BYTES);
		kept++;
		read += reading;
	}
	translation->note_count = kept;
	translation->read_notes = read;
}

void fm_translation_raise_note(struct fm_translation *translation)
{
	char note[FM_TRANSLATE_NOTE_BYTES];
	uint32_t last = translation->note_count - 1;

	memcpy(note, translation->notes[last], sizeof(note));
	memmove(translation->notes[1], translation->notes[0], last * sizeof(note));
	memcpy(translation->notes[0], note, sizeof(note));
	translation->read_notes++;
}

struct fm_wanted *fm_translation_wanted(struct fm_translation *translation, const char *name)
{
	for (uint32_t i = 0; i < translation->wanted_count; i++)
		if (strcmp(translation->wanted[i].name, name) == 0)
			return &translation->wanted[i];
	return NULL;
}

void fm_translation_want(struct fm_translation *translation, const char *name, const char *value, const char *typed)
{
	struct fm_wanted *wanted = fm_translation_wanted(translation, name);

	if (!wanted) {
		/* The tables name fewer targets than there is room for; a test counts them. */
		if (translation->wanted_count == FM_TRANSLATE_WANTED_MAX)
			return;
		wanted = &translation->wanted[translation->wanted_count++];
	}
	snprintf(wanted->name, sizeof(wanted->name), "%s", name);
	snprintf(wanted->value, sizeof(wanted->value), "%s", value);
	snprintf(wanted->typed, sizeof(wanted->typed), "%s", typed);
}

void fm_translation_drop(struct fm_translation *translation, const char *name)
{
	struct fm_wanted *wanted = fm_translation_wanted(translation, name);

	if (wanted)
		*wanted = translation->wanted[--translation->wanted_count];
}
