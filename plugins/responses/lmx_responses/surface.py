"""The routes of the Responses API."""

from lmx_hookspecs import Route
from lmx_hookspecs.http import imported_handler
from lmx_responses.answers import DeletedResponse, ItemList, ResponseObject
from lmx_responses.requests import NoBody, ResponseRequest

ONE = "/v1/responses/{id}"


ROUTES = (
    Route(
        method="POST",
        path="/v1/responses",
        handler=imported_handler("lmx_responses.create", "create_response"),
        summary="Make a response",
        body=ResponseRequest,
        answer=ResponseObject,
        allow_unknown=True,
        streams=True,
    ),
    Route(
        method="GET",
        path=ONE,
        handler=imported_handler("lmx_responses.retrieve", "get_response"),
        summary="Get a response that is kept, or its events",
        answer=ResponseObject,
        streams=True,
    ),
    Route(
        method="DELETE",
        path=ONE,
        handler=imported_handler("lmx_responses.retrieve", "delete_response"),
        summary="Forget a response",
        answer=DeletedResponse,
        shed=False,
    ),
    Route(
        method="POST",
        path=f"{ONE}/cancel",
        handler=imported_handler("lmx_responses.retrieve", "cancel_response"),
        summary="End a response that is made in the background",
        body=NoBody,
        answer=ResponseObject,
        shed=False,
    ),
    Route(
        method="GET",
        path=f"{ONE}/input_items",
        handler=imported_handler("lmx_responses.retrieve", "list_input_items"),
        summary="List what a response was made from",
        answer=ItemList,
    ),
)
