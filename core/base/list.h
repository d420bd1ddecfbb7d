/* A ring of embedded links. An element that is in no list points to itself. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next, *prev;
};

#define list_entry(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_append(struct list *head, struct list *l)
{
	l->prev = head->prev;
	l->next = head;
	head->prev->next = l;
	head->prev = l;
}

/* Takes the element out of whatever list it is in. */
static inline void list_remove(struct list *l)
{
	l->next->prev = l->prev;
	l->prev->next = l->next;
	list_init(l);
}

/* The first element, or NULL. */
static inline struct list *list_first(const struct list *head)
{
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): elements leave before they are freed */
	return head->next == head ? NULL : head->next;
}

/* Moves all elements to the end of `to`. */
static inline void list_move_all(struct list *from, struct list *to)
{
	struct list *l;

	while ((l = list_first(from)) != NULL) {
		list_remove(l);
		list_append(to, l);
	}
}
