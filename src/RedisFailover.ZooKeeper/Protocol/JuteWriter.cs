using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Text;

namespace RedisFailover.ZooKeeper;

/// <summary>
/// A growing buffer that frames are written into in jute's encoding: big-endian, strings and buffers preceded by their length.
/// </summary>
internal sealed class JuteWriter
{
    private const int InitialBytes = 16 * 1024;
    private const int KeptBytes = 256 * 1024;

    private byte[] _buffer = new byte[InitialBytes];

    internal int Length { get; private set; }

    internal ReadOnlyMemory<byte> Written => _buffer.AsMemory(0, Length);

    internal void Clear()
    {
        Length = 0;
        if (_buffer.Length > KeptBytes)
        {
            // One burst must not pin its memory for the life of the session.
            _buffer = new byte[InitialBytes];
        }
    }

    internal void Truncate(int length) => Length = length;

    /// <summary>Reserves the four bytes of a frame's length; <see cref="EndFrame"/> fills them in.</summary>
    internal int BeginFrame()
    {
        int start = Length;
        Int32(0);
        return start;
    }

    /// <summary>Completes the frame and returns the length of its payload.</summary>
    internal int EndFrame(int start)
    {
        int length = Length - start - 4;
        BinaryPrimitives.WriteInt32BigEndian(_buffer.AsSpan(start), length);
        return length;
    }

    internal void Int32(int value)
    {
        BinaryPrimitives.WriteInt32BigEndian(Reserve(4), value);
        Length += 4;
    }

    internal void Int64(long value)
    {
        BinaryPrimitives.WriteInt64BigEndian(Reserve(8), value);
        Length += 8;
    }

    internal void Bool(bool value)
    {
        Reserve(1)[0] = value ? (byte)1 : (byte)0;
        Length++;
    }

    internal void Buffer(ReadOnlySpan<byte> value)
    {
        Int32(value.Length);
        value.CopyTo(Reserve(value.Length));
        Length += value.Length;
    }

    internal void Raw(ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(Reserve(bytes.Length));
        Length += bytes.Length;
    }

    internal void String(string value)
    {
        Span<byte> target = Reserve(4 + Encoding.UTF8.GetMaxByteCount(value.Length));
        int written = Encoding.UTF8.GetBytes(value, target[4..]);
        BinaryPrimitives.WriteInt32BigEndian(target, written);
        Length += 4 + written;
    }

    internal void Path(string chroot, string path)
    {
        if (chroot.Length == 0)
        {
            String(path);
            return;
        }

        // Written piece by piece: no string is made for the whole.
        ReadOnlySpan<char> tail = path.Length == 1 ? [] : path;
        Span<byte> target = Reserve(4 + Encoding.UTF8.GetMaxByteCount(chroot.Length + path.Length));
        int written = Encoding.UTF8.GetBytes(chroot, target[4..]);
        written += Encoding.UTF8.GetBytes(tail, target[(4 + written)..]);
        BinaryPrimitives.WriteInt32BigEndian(target, written);
        Length += 4 + written;
    }

    /// <summary>
    /// The path of a create: "/" of a sequential one stands for a znode without a name in the root, which may be that of a chroot.
    /// </summary>
    internal void Path(string chroot, string path, CreateMode mode)
    {
        if (chroot.Length > 0 && path.Length == 1 && CreateModes.IsSequential(mode))
        {
            String(chroot + path);
        }
        else
        {
            Path(chroot, path);
        }
    }

    internal void Acl(ImmutableArray<ZnodeAcl> acl)
    {
        Int32(acl.Length);
        foreach (ZnodeAcl entry in acl)
        {
            Int32((int)entry.Permissions);
            String(entry.Scheme);
            String(entry.Id);
        }
    }

    private Span<byte> Reserve(int count)
    {
        int needed = checked(Length + count);
        if (needed > _buffer.Length)
        {
            Array.Resize(ref _buffer, (int)Math.Min(Math.Max((long)_buffer.Length * 2, needed), Array.MaxLength));
        }

        return _buffer.AsSpan(Length);
    }
}
