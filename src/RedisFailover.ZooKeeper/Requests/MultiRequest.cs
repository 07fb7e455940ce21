using System.Collections.Immutable;

namespace RedisFailover.ZooKeeper;

/// <summary>Several operations as one transaction.</summary>
internal sealed class MultiRequest : Request<ImmutableArray<ZnodeOperationResult>>
{
    private readonly ImmutableArray<ZnodeOperation> _operations;
    private readonly Func<string, ImmutableArray<ZnodeAcl>>? _aclOf;

    internal MultiRequest(ImmutableArray<ZnodeOperation> operations, Func<string, ImmutableArray<ZnodeAcl>>? aclOf = null)
        : base(OpCode.Multi)
    {
        _operations = operations;
        _aclOf = aclOf;
        Path = operations[0].Path;
    }

    protected override void WriteBody(JuteWriter writer, string chroot)
    {
        foreach (ZnodeOperation operation in _operations)
        {
            Header(writer, Code(operation), done: false);
            writer.Path(chroot, operation.Path, operation.Mode);
            switch (operation.Kind)
            {
                case ZnodeOperationKind.Create:
                    writer.Buffer(operation.Data.Span);
                    writer.Acl(operation.Acl.IsEmpty ? _aclOf?.Invoke(operation.Path) ?? ZnodeAcl.Open : operation.Acl);
                    writer.Int32((int)operation.Mode);
                    break;
                case ZnodeOperationKind.SetData:
                    writer.Buffer(operation.Data.Span);
                    writer.Int32(operation.Version);
                    break;
                default:
                    writer.Int32(operation.Version);
                    break;
            }
        }

        Header(writer, (OpCode)(-1), done: true);
    }

    protected override bool TryReadResult(
        in ReplyHeader header,
        ref JuteReader body,
        WatchRegistry watches,
        out ImmutableArray<ZnodeOperationResult> result,
        out ZooKeeperException? error)
    {
        (result, error) = ([], null);
        if (header.Error != ZooKeeperErrorCode.Ok && body.Remaining == 0)
        {
            return false;
        }

        var results = ImmutableArray.CreateBuilder<ZnodeOperationResult>(_operations.Length);
        for (int i = 0; ; i++)
        {
            var type = (OpCode)body.Int32();
            bool done = body.Bool();
            int code = body.Int32();
            if (done)
            {
                break;
            }

            if (i >= _operations.Length)
            {
                throw new InvalidDataException("The reply to a multi holds more results than it had operations.");
            }

            if ((int)type == -1)
            {
                // A failed multi says 0 for those before the failure and RuntimeInconsistency for those after it.
                code = body.Int32();
                if (error is null && code is not ((int)ZooKeeperErrorCode.Ok or (int)ZooKeeperErrorCode.RuntimeInconsistency))
                {
                    error = new ZooKeeperException((ZooKeeperErrorCode)code, Name, _operations[i].Path, failedIndex: i);
                }

                continue;
            }

            ZnodeOperationKind kind = _operations[i].Kind;
            string? path = kind == ZnodeOperationKind.Create ? watches.ToClientPath(body.String()) : null;
            ZnodeStat? stat = kind == ZnodeOperationKind.SetData || type is OpCode.Create2 or OpCode.CreateContainer ? body.Stat() : null;
            results.Add(new ZnodeOperationResult(kind, path, stat));
        }

        if (error is null && results.Count != _operations.Length)
        {
            error = new ZooKeeperException(
                header.Error == ZooKeeperErrorCode.Ok ? ZooKeeperErrorCode.RuntimeInconsistency : header.Error, Name, Path);
        }

        result = error is null ? results.MoveToImmutable() : [];
        return error is null;
    }

    private static OpCode Code(ZnodeOperation operation) => operation.Kind switch
    {
        ZnodeOperationKind.Check => OpCode.Check,
        ZnodeOperationKind.SetData => OpCode.SetData,
        ZnodeOperationKind.Delete => OpCode.Delete,
        _ => operation.Mode == CreateMode.Container ? OpCode.CreateContainer : OpCode.Create,
    };

    private static void Header(JuteWriter writer, OpCode op, bool done)
    {
        writer.Int32((int)op);
        writer.Bool(done);
        writer.Int32(-1);
    }
}
