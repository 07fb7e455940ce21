using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Text;

namespace RedisFailover.ZooKeeper;

/// <summary>
/// Reads jute's encoding from one whole frame. Anything that does not fit throws <see cref="InvalidDataException"/>: the connection is
/// then given up.
/// </summary>
internal ref struct JuteReader(ReadOnlySpan<byte> frame)
{
    private ReadOnlySpan<byte> _rest = frame;

    internal readonly int Remaining => _rest.Length;

    internal int Int32() => BinaryPrimitives.ReadInt32BigEndian(Take(4));

    internal long Int64() => BinaryPrimitives.ReadInt64BigEndian(Take(8));

    internal bool Bool() => Take(1)[0] != 0;

    internal ReadOnlySpan<byte> Buffer()
    {
        int length = Int32();
        return length == -1 ? [] : Take(length);
    }

    internal string String() => Encoding.UTF8.GetString(Buffer());

    internal ImmutableArray<string> Strings()
    {
        int count = Count(4);
        var names = ImmutableArray.CreateBuilder<string>(count);
        for (int i = 0; i < count; i++)
        {
            names.Add(String());
        }

        return names.MoveToImmutable();
    }

    internal ImmutableArray<ZnodeAcl> Acl()
    {
        int count = Count(12);
        var entries = ImmutableArray.CreateBuilder<ZnodeAcl>(count);
        for (int i = 0; i < count; i++)
        {
            entries.Add(new ZnodeAcl((ZnodePermissions)Int32(), String(), String()));
        }

        return entries.MoveToImmutable();
    }

    internal ZnodeStat Stat()
    {
        ReadOnlySpan<byte> s = Take(68);
        return new ZnodeStat(
            BinaryPrimitives.ReadInt64BigEndian(s),
            BinaryPrimitives.ReadInt64BigEndian(s[8..]),
            BinaryPrimitives.ReadInt64BigEndian(s[16..]),
            BinaryPrimitives.ReadInt64BigEndian(s[24..]),
            BinaryPrimitives.ReadInt32BigEndian(s[32..]),
            BinaryPrimitives.ReadInt32BigEndian(s[36..]),
            BinaryPrimitives.ReadInt32BigEndian(s[40..]),
            BinaryPrimitives.ReadInt64BigEndian(s[44..]),
            BinaryPrimitives.ReadInt32BigEndian(s[52..]),
            BinaryPrimitives.ReadInt32BigEndian(s[56..]),
            BinaryPrimitives.ReadInt64BigEndian(s[60..]));
    }

    /// <summary>A vector's count, checked against what the frame can hold, so that a wrong one cannot allocate gigabytes.</summary>
    internal int Count(int leastBytesEach)
    {
        int count = Int32();
        if (count == -1)
        {
            return 0;
        }

        if (count < 0 || (long)count * leastBytesEach > _rest.Length)
        {
            throw new InvalidDataException($"A vector of {count} elements does not fit into the {_rest.Length} bytes left in the frame.");
        }

        return count;
    }

    private ReadOnlySpan<byte> Take(int count)
    {
        if ((uint)count > (uint)_rest.Length)
        {
            throw new InvalidDataException($"The frame ends early: {count} bytes wanted, {_rest.Length} left.");
        }

        ReadOnlySpan<byte> taken = _rest[..count];
        _rest = _rest[count..];
        return taken;
    }
}
