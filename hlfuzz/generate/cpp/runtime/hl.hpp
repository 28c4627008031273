#ifndef HL_RUNTIME_CPP
#define HL_RUNTIME_CPP 1
/* What every generated C++ interface shares: views over the C structs, without the standard library, exceptions or
 * run-time types. Views are pointers or slices; they own nothing. */
#if __cplusplus < 201703L
#error "C++17 is needed"
#endif

namespace hl {

template <class T>
class Span {
public:
    constexpr Span() : data_(nullptr), size_(0) {}
    constexpr Span(const T *data, uint32_t size) : data_(data), size_(size) {}
    template <size_t N>
    constexpr Span(const T (&array)[N]) : data_(array), size_(static_cast<uint32_t>(N)) {}
    constexpr const T *data() const { return data_; }
    constexpr uint32_t size() const { return size_; }
    constexpr bool empty() const { return size_ == 0; }
    constexpr const T &operator[](uint32_t index) const { return data_[index]; }
    constexpr const T *begin() const { return data_; }
    constexpr const T *end() const { return data_ + size_; }
    constexpr Span sub(uint32_t from, uint32_t count) const { return Span(data_ + from, count); }

private:
    const T *data_;
    uint32_t size_;
};

using Bytes = Span<uint8_t>;

/* UTF-8 text. One that is not present differs from an empty one where the schema says so. */
class String {
public:
    constexpr String() : text_{nullptr, 0} {}
    constexpr String(hl_string text) : text_(text) {}
    constexpr String(const char *data, uint32_t size) : text_{data, size} {}
    template <size_t N>
    constexpr String(const char (&literal)[N]) : text_{literal, static_cast<uint32_t>(N - 1)} {}
    constexpr const char *data() const { return text_.data; }
    constexpr uint32_t size() const { return text_.len; }
    constexpr bool empty() const { return text_.len == 0; }
    constexpr bool present() const { return text_.data != nullptr; }
    constexpr char operator[](uint32_t index) const { return text_.data[index]; }
    constexpr const char *begin() const { return text_.data; }
    constexpr const char *end() const { return text_.data + text_.len; }
    constexpr hl_string raw() const { return text_; }
    friend bool operator==(String a, String b) { return hl_equal(a.text_, b.text_); }
    friend bool operator!=(String a, String b) { return !hl_equal(a.text_, b.text_); }

private:
    hl_string text_;
};

template <class, class>
constexpr bool same = false;
template <class T>
constexpr bool same<T, T> = true;

template <class T>
class Optional {
public:
    constexpr Optional() : value_(), present_(false) {}
    constexpr Optional(T value) : value_(value), present_(true) {}
    constexpr explicit operator bool() const { return present_; }
    constexpr T operator*() const { return value_; }
    constexpr T value_or(T other) const { return present_ ? value_ : other; }

private:
    T value_;
    bool present_;
};

/* A vector whose elements are seen as `V`: views of records, texts, enums. */
template <class V, class R>
class List {
public:
    class Iterator {
    public:
        constexpr explicit Iterator(const R *at) : at_(at) {}
        constexpr V operator*() const { return List::view(*at_); }
        constexpr Iterator &operator++() { ++at_; return *this; }
        constexpr bool operator!=(const Iterator &other) const { return at_ != other.at_; }

    private:
        const R *at_;
    };
    constexpr List() : data_(nullptr), size_(0) {}
    constexpr List(const R *data, uint32_t size) : data_(data), size_(size) {}
    constexpr const R *data() const { return data_; }
    constexpr uint32_t size() const { return size_; }
    constexpr bool empty() const { return size_ == 0; }
    constexpr V operator[](uint32_t index) const { return view(data_[index]); }
    constexpr Iterator begin() const { return Iterator(data_); }
    constexpr Iterator end() const { return Iterator(data_ + size_); }

private:
    static constexpr V view(const R &raw) {
        if constexpr (__is_enum(V)) return static_cast<V>(raw);
        else if constexpr (same<R, hl_bytes>) return V(raw.data, raw.len);
        else if constexpr (same<R, hl_string>) return V(raw);
        else return V(&raw);
    }
    const R *data_;
    uint32_t size_;
};

/* Elements that are being filled: `E` is an editor of a record or union. */
template <class E>
class Array {
public:
    constexpr Array() : data_(nullptr), size_(0) {}
    constexpr Array(typename E::Raw *data, uint32_t size) : data_(data), size_(size) {}
    constexpr explicit operator bool() const { return data_ != nullptr || size_ == 0; }
    constexpr uint32_t size() const { return size_; }
    constexpr E operator[](uint32_t index) const { return E(data_ + index); }
    constexpr operator List<typename E::View, typename E::Raw>() const {
        return List<typename E::View, typename E::Raw>(data_, size_);
    }

private:
    typename E::Raw *data_;
    uint32_t size_;
};

/* The call in progress. */
class Call {
public:
    constexpr Call(hl_call *call) : call_(call) {}
    constexpr hl_call *raw() const { return call_; }
    hl_status fail(hl_status code, String text) const { return hl_fail_text(call_, code, text.raw()); }
    hl_failure error() const { return hl_error(call_); }
    /* A record with its defaults, to be filled; false when there is no memory. */
    template <class E>
    E make() const {
        typename E::Raw *made = static_cast<typename E::Raw *>(hl_alloc(call_->arena, sizeof(typename E::Raw)));
        if (made) E::init(made);
        return E(made);
    }
    /* Several; false when there is no memory. */
    template <class E>
    Array<E> array(uint32_t count) const {
        if (count > 0x7fffffffu / sizeof(typename E::Raw)) return Array<E>(nullptr, count);
        typename E::Raw *made = static_cast<typename E::Raw *>(hl_alloc(call_->arena, count * sizeof(typename E::Raw)));
        for (uint32_t i = 0; made && i < count; i++) E::init(made + i);
        return Array<E>(made, count);
    }

private:
    hl_call *call_;
};

/* What a host function answered: a status, and when that is HL_OK a value. */
template <class V>
struct Answer {
    hl_status status;
    V value;
    constexpr explicit operator bool() const { return status == HL_OK; }
};

}  // namespace hl
#endif
