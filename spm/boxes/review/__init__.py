"""The review page: reviewers accept, reject or correct boxes, on a page of this machine."""
