"""Collection policies: what the data room collects by itself."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask

from marketml.clients.connection import every, new_request_id
from marketml.clients.data_messages import enum_number, written_moment, written_span
from marketml.data.v1 import data_pb2 as pb
from marketml.market.v1 import market_pb2


class PolicyCalls:
    """The part of `DataClient` that is about collection policies."""

    _stub: Any

    def create_collection_policy(
        self,
        kind: str | int,
        venue: str,
        symbol: str,
        timeframe: str = "",
        *,
        interval: timedelta,
        start: datetime | None = None,
        paused: bool = False,
        request_id: str | None = None,
    ) -> pb.CollectionPolicy:
        """Have the room collect a series by itself, from now on.

        Parameters
        ----------
        kind
            `candles`, `funding_rates` or `open_interest`.
        interval
            Between the begins of two runs, 10 seconds to 31 days.
        start
            Where a series without rows begins; None is the oldest row that the exchange gives.
        """
        policy = pb.CollectionPolicy(
            series=pb.CollectionTarget(
                kind=enum_number(pb.SeriesKind, "SERIES_KIND", kind, "policy.series.kind"),
                key=market_pb2.SeriesKey(venue=venue, symbol=symbol, timeframe=timeframe),
            ),
            interval=written_span(interval),
            start_time=written_moment(start, "policy.start_time"),
            paused=paused,
        )
        request = pb.CreateCollectionPolicyRequest(policy=policy, request_id=request_id or new_request_id())
        response: pb.CreateCollectionPolicyResponse = self._stub.CreateCollectionPolicy(request)
        return response.policy

    def get_collection_policy(self, policy_id: str) -> pb.CollectionPolicy:
        """A policy and how its last run went."""
        response: pb.GetCollectionPolicyResponse = self._stub.GetCollectionPolicy(
            pb.GetCollectionPolicyRequest(policy_id=policy_id)
        )
        return response.policy

    def list_collection_policies(self, *, page_size: int = 0) -> list[pb.CollectionPolicy]:
        """All policies, by venue, symbol, kind and timeframe."""
        request = pb.ListCollectionPoliciesRequest(page_size=page_size)
        return every(self._stub.ListCollectionPolicies, request, "policies")

    def update_collection_policy(
        self,
        policy_id: str,
        *,
        interval: timedelta | None = None,
        paused: bool | None = None,
        etag: str = "",
        request_id: str | None = None,
    ) -> pb.CollectionPolicy:
        """Change what is given of a policy. With the `etag` it was read with, Aborted when it has changed
        since."""
        changed = [name for name, value in (("interval", interval), ("paused", paused)) if value is not None]
        request = pb.UpdateCollectionPolicyRequest(
            policy=pb.CollectionPolicy(
                policy_id=policy_id, interval=written_span(interval), paused=bool(paused)
            ),
            update_mask=FieldMask(paths=changed),
            etag=etag,
            request_id=request_id or new_request_id(),
        )
        response: pb.UpdateCollectionPolicyResponse = self._stub.UpdateCollectionPolicy(request)
        return response.policy

    def delete_collection_policy(self, policy_id: str, *, request_id: str | None = None) -> None:
        """Delete a policy; the rows stay."""
        self._stub.DeleteCollectionPolicy(
            pb.DeleteCollectionPolicyRequest(policy_id=policy_id, request_id=request_id or new_request_id())
        )
