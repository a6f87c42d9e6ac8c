"""The methods of DataService that are about collection policies."""

from __future__ import annotations

from marketml.data.v1 import data_pb2 as pb
from services.data import wire, wire_policies
from services.data.application import DataApplication
from services.host import Call


class PolicyServicer:
    """A part of `DataServicer`."""

    _application: DataApplication

    def CreateCollectionPolicy(
        self, request: pb.CreateCollectionPolicyRequest, _call: Call
    ) -> pb.CreateCollectionPolicyResponse:
        policy = self._application.create_collection_policy(
            wire_policies.read_draft(request.policy),
            request_id=request.request_id,
            body=wire.canonical(request),
        )
        return pb.CreateCollectionPolicyResponse(policy=wire_policies.written_policy(policy))

    def GetCollectionPolicy(
        self, request: pb.GetCollectionPolicyRequest, _call: Call
    ) -> pb.GetCollectionPolicyResponse:
        policy = self._application.get_collection_policy(wire_policies.read_policy_id(request.policy_id))
        return pb.GetCollectionPolicyResponse(policy=wire_policies.written_policy(policy))

    def ListCollectionPolicies(
        self, request: pb.ListCollectionPoliciesRequest, _call: Call
    ) -> pb.ListCollectionPoliciesResponse:
        count = wire.read_page_size(request.page_size)
        after = wire.read_page_token(request.page_token, (), (str, str, int, str))
        found = self._application.list_collection_policies(after, count + 1)
        response = pb.ListCollectionPoliciesResponse(
            policies=map(wire_policies.written_policy, found[:count])
        )
        if len(found) > count:
            response.next_page_token = wire.written_page_token((), found[count - 1].series.key)
        return response

    def UpdateCollectionPolicy(
        self, request: pb.UpdateCollectionPolicyRequest, _call: Call
    ) -> pb.UpdateCollectionPolicyResponse:
        policy = self._application.update_collection_policy(
            wire_policies.read_change(request), request_id=request.request_id, body=wire.canonical(request)
        )
        return pb.UpdateCollectionPolicyResponse(policy=wire_policies.written_policy(policy))

    def DeleteCollectionPolicy(
        self, request: pb.DeleteCollectionPolicyRequest, _call: Call
    ) -> pb.DeleteCollectionPolicyResponse:
        self._application.delete_collection_policy(
            wire_policies.read_policy_id(request.policy_id),
            request_id=request.request_id,
            body=wire.canonical(request),
        )
        return pb.DeleteCollectionPolicyResponse()
