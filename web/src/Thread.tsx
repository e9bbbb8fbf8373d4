/** The thread in the head of a page. */
export const Thread = () => (
  <svg class="thread" viewBox="0 0 120 40" aria-hidden="true">
    <path d="M2 31C22 31 22 9 42 9s18 24 36 24 14-20 26-20" /><circle cx="110" cy="13" r="6" /><path d="M105 10.500c3-2 7-2 10 1M104.500 15c4-3 8-3 11 0" />
  </svg>
);
